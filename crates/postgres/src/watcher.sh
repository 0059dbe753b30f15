# Stops the PostgreSQL server in folder $1 when the processes that need it are gone, however they went.
#   $2 = pipe    one process needs it: standard input is a pipe from it; a line means that it stopped the server itself,
#                the end of the pipe means that it is dead
#   $2 = users   many need it: standard input is a file on which each of them holds a shared lock
# Standard output is the locked lock file: until this shell ends, nobody else starts a server in that folder.
trap '' HUP INT TERM
folder=$1

# Sets $pid and succeeds if the server runs. The working directory tells it from another process of the same number.
server_runs() {
    pid=
    { read -r pid < "$folder/postmaster.pid"; } 2>/dev/null
    [ -n "$pid" ] && [ "/proc/$pid/cwd" -ef "$folder" ]
}

case $2 in
pipe)
    read -r word && exit 0
    ;;
users)
    missed=0
    until flock -x -w 2 0 >/dev/null; do
        if server_runs; then
            missed=0
        else
            missed=$((missed + 1))
            [ "$missed" -ge 5 ] && exit 0
        fi
    done
    ;;
esac

# It may have been started a moment before its starter died.
tries=0
until server_runs; do
    tries=$((tries + 1))
    [ "$tries" -gt 15 ] && exit 0
    sleep 0.1 >/dev/null
done

kill -s INT "$pid"
tries=0
while [ "/proc/$pid/cwd" -ef "$folder" ]; do
    tries=$((tries + 1))
    [ "$tries" -eq 600 ] && kill -s QUIT "$pid"
    [ "$tries" -eq 650 ] && kill -s KILL "$pid"
    [ "$tries" -gt 700 ] && exit 1
    sleep 0.1 >/dev/null
done
exit 0
