INSERT INTO log_count_5
    SELECT log_stream_5.id, hour, of_source.bytes, of_destination.bytes,
        CASE WHEN port = '' THEN 0 ELSE CAST(substr(port, 5) AS INTEGER) + (port LIKE 'udp/%') * 65536 END,
        CASE verdict WHEN 'allowed' THEN 0 WHEN 'blocked' THEN 1 ELSE 2 END
            + 4 * CASE moment WHEN 'packet' THEN 0 WHEN 'begin' THEN 1 WHEN 'end' THEN 2 ELSE 3 END
            + 16 * directed,
        events, first, last
    FROM log_count
    JOIN log_stream_5 ON log_stream_5.name = log_count.stream
    JOIN log_address_5 AS of_source ON of_source.text = source
    JOIN log_address_5 AS of_destination ON of_destination.text = destination;
DROP TABLE log_address_5;
DROP TABLE log_count;
DROP TABLE log_stream;
ALTER TABLE log_count_5 RENAME TO log_count;
ALTER TABLE log_stream_5 RENAME TO log_stream;
