# What Portcullis reads of a host before it plans a change there. It only reads.
echo '== endian'
if [ "$(dd if=/proc/self/exe bs=1 skip=5 count=1 2>/dev/null)" = "$(printf '\002')" ]; then echo big; else echo little; fi
echo '== ephemeral'
cat /proc/sys/net/ipv4/ip_local_port_range
for table in tcp tcp6 udp udp6; do
    echo "== $table"
    cat "/proc/net/$table" 2>/dev/null
done
echo '== addresses'
ip addr show 2>/dev/null || ifconfig -a 2>/dev/null
echo '== tracked'
cat /proc/net/nf_conntrack 2>/dev/null || cat /proc/net/ip_conntrack 2>/dev/null || conntrack -L -p tcp 2>/dev/null
echo '== holders'
ls -l /proc/[0-9]*/fd 2>/dev/null | grep -e '^/proc/[0-9]*/fd:$' -e 'socket:\[[0-9]*\]$'
echo '== names'
grep . /proc/[0-9]*/comm /dev/null 2>/dev/null
echo '== end'
