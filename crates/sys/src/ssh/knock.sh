# One connection attempt from this host, over which nothing is sent. $1: the address, $2: the port. It needs no rights.
ip route get "$1" 2>/dev/null | sed -n 's/.* src \([^ ]*\).*/source \1/p' | head -n 1
if command -v timeout >/dev/null 2>&1 && command -v bash >/dev/null 2>&1; then
    said=$(timeout 3 bash -c 'exec 3<>"/dev/tcp/$0/$1"' "$1" "$2" 2>&1)
elif command -v nc >/dev/null 2>&1; then
    said=$(nc -z -w 3 "$1" "$2" 2>&1)
else
    echo 'no-tool'
    exit
fi
code=$?
case $code,$said in
0,*) echo 'open' ;;
124,* | *,*'timed out'*) echo 'no-answer' ;;
*,*[Rr]efused*) echo 'closed' ;;
*'No route to host'* | *'Host is unreachable'* | *'Permission denied'*) echo 'filtered' ;;
*'etwork is unreachable'* | *'Cannot assign'*) echo 'no-route' ;;
1,) echo 'no-answer' ;;
*) echo 'no-tool' ;;
esac
