#!/bin/bash
# Redis with its clients; it saves to disk from a forked child.
set -e
redis-server --port 0 --unixsocket "$PWD/redis.sock" --dir "$PWD" --daemonize no --save '' --logfile "$PWD/log" --appendonly yes &
cli() { redis-cli -s "$PWD/redis.sock" "$@"; }
for i in $(seq 100); do [ -S redis.sock ] && break; sleep 0.05; done
cli ping
for i in 1 2 3 4 5; do cli rpush list $i >/dev/null; done
cli lrange list 0 -1
cli eval 'local s = 0 for i = 1, 100 do s = s + redis.call("incr", "counter") end return s' 0
redis-benchmark -s "$PWD/redis.sock" -n 2000 -c 10 -q -t get,set,lpush >/dev/null
cli bgsave >/dev/null
for i in $(seq 100); do [ "$(cli info persistence | tr -d '\r' | sed -n s/^rdb_bgsave_in_progress://p)" = 0 ] && break; sleep 0.05; done
cli save
cli shutdown nosave || true
wait
test -s dump.rdb && echo saved
