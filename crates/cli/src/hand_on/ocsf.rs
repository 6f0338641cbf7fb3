//! Events as OCSF 1.3.0, class Network Activity (uid 4001) with the profile Security Control
//! (`events/network/network_activity.json` and `profiles/security_control.json` of the schema).

use portcullis_model::{LogEvent, LogMoment, Port, Transport, Verdict};
use serde_json::{Map, Value, json};

/// Category 4, class 4001.
const CLASS: u32 = 4001;

/// The event; `None` without a time, which OCSF requires.
pub(crate) fn event(event: &LogEvent) -> Option<Value> {
    let (activity, activity_name) = activity(event);
    let (action, action_name, disposition, disposition_name) = match event.verdict {
        Verdict::Allowed => (1, "Allowed", 1, "Allowed"),
        Verdict::Blocked => (2, "Denied", 2, "Blocked"),
        Verdict::Unknown => (0, "Unknown", 0, "Unknown"),
    };
    let mut all = Map::new();
    let mut put = |key: &str, value: Value| {
        if !value.is_null() {
            all.insert(key.into(), value);
        }
    };
    put("category_uid", 4.into());
    put("category_name", "Network Activity".into());
    put("class_uid", CLASS.into());
    put("class_name", "Network Activity".into());
    put("activity_id", activity.into());
    put("activity_name", activity_name.into());
    put("type_uid", (CLASS * 100 + activity).into());
    put("type_name", format!("Network Activity: {activity_name}").into());
    put("time", event.at?.as_millisecond().into());
    put("severity_id", 1.into());
    put("severity", "Informational".into());
    put("action_id", action.into());
    put("action", action_name.into());
    put("disposition_id", disposition.into());
    put("disposition", disposition_name.into());
    put(
        "metadata",
        json!({
            "version": "1.3.0",
            "profiles": ["security_control"],
            "product": {"name": "portcullis", "vendor_name": "Portcullis", "version": env!("CARGO_PKG_VERSION")},
            "log_provider": event.format,
        }),
    );
    let end = |address: std::net::IpAddr, port: Option<u16>, interface: Option<&str>| {
        let mut end = json!({"ip": address});
        if let Some(fields) = end.as_object_mut() {
            fields.extend(port.map(|port| ("port".into(), port.into())));
            fields.extend(interface.map(|name| ("interface_name".into(), name.into())));
        }
        end
    };
    let text = |text: &Option<portcullis_model::Untrusted>| text.as_ref().map(|text| text.raw().to_owned());
    let (inside, outside) = (text(&event.interface), text(&event.out_interface));
    put(
        "src_endpoint",
        end(event.source, event.source_port, inside.as_deref()),
    );
    put(
        "dst_endpoint",
        end(
            event.destination,
            event.port.map(|port| port.number),
            outside.as_deref(),
        ),
    );
    put("is_src_dst_assignment_known", event.directed.into());
    put("connection_info", connection(event));
    if !event.prefix.raw().is_empty() {
        put("firewall_rule", json!({"name": event.prefix.raw()}));
    }
    put("count", event.count.into());
    put("duration", event.duration_ms.into());
    if let Some(bytes) = event.bytes {
        put("traffic", json!({"bytes": bytes}));
    }
    put(
        "unmapped",
        json!({"read_from": event.read_from, "time_assumed": event.time_assumed}),
    );
    Some(Value::Object(all))
}

fn activity(event: &LogEvent) -> (u32, &'static str) {
    match (event.moment, event.verdict) {
        (LogMoment::Packet | LogMoment::Begin, Verdict::Blocked) => (5, "Refuse"),
        (LogMoment::Begin, _) => (1, "Open"),
        (LogMoment::End, _) => (2, "Close"),
        (LogMoment::Packet | LogMoment::Within, _) => (6, "Traffic"),
    }
}

fn connection(event: &LogEvent) -> Value {
    let mut connection = json!({"direction_id": 0});
    let name = match event.port {
        Some(Port {
            transport: Transport::Tcp,
            ..
        }) => Some("tcp"),
        Some(Port {
            transport: Transport::Udp,
            ..
        }) => Some("udp"),
        None => None,
    };
    if let Some(fields) = connection.as_object_mut() {
        fields.extend(
            event
                .protocol
                .map(|number| ("protocol_num".into(), number.into())),
        );
        fields.extend(name.map(|name| ("protocol_name".into(), name.into())));
        fields.extend(event.flags.map(|flags| ("tcp_flags".into(), flags.0.into())));
    }
    connection
}
