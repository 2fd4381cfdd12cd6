# Ends every service when the process that started them is gone, however it went.
#
# Standard input is a pipe whose only writer is that process; services register themselves in it before
# they start: "+ <pid> <signal>", "- <pid>" once ended. End of file means that the writer is gone.
# A service leads its own process group. Postgres is sent its signal alone, so that the postmaster ends
# its children in order; the groups of the others end as one.
# (`kill -s NAME -- -GROUP` is the form that every `sh` understands.)
trap '' INT TERM HUP
services=' '
while read -r what pid signal; do
  case $what in
    +) services="$services$pid:$signal " ;;
    -) services=$(printf '%s' "$services" | sed "s/ $pid:[A-Z]* / /") ;;
  esac
done
for service in $services; do
  pid=${service%:*}
  case ${service#*:} in
    INT) kill -s INT "$pid" 2>/dev/null ;;
    *) kill -s TERM -- "-$pid" 2>/dev/null ;;
  esac
done
tries=0
while [ $tries -lt 50 ]; do
  alive=
  for service in $services; do kill -s 0 -- "-${service%:*}" 2>/dev/null && alive=yes; done
  [ -z "$alive" ] && exit 0
  tries=$((tries + 1))
  sleep 0.1
done
for service in $services; do kill -s KILL -- "-${service%:*}" 2>/dev/null; done
