#!/bin/bash
# PostgreSQL: a cluster is made, served, queried by many, and stopped. It refuses to run as root.
set -e
if [ "$(id -u)" = 0 ]; then
  chown postgres "$PWD"
  exec setpriv --reuid=postgres --regid=postgres --clear-groups -- "$0"
fi
PATH=$(echo /usr/lib/postgresql/*/bin | tr ' ' :):$PATH
export LC_ALL=C PGHOST=$PWD PGDATABASE=postgres PGDATA=$PWD/data
initdb --auth=trust --no-sync >/dev/null
pg_ctl start --wait --silent --log=log --options="-c listen_addresses= -c unix_socket_directories=$PWD -c fsync=off -c shared_buffers=16MB -c max_parallel_workers_per_gather=2 -c min_parallel_table_scan_size=0 -c parallel_setup_cost=0"
psql -qAt <<'SQL'
create table t (a int, b text);
insert into t select n, md5(n::text) from generate_series(1, 20000) n;
create index on t (b);
analyze t;
select count(*), min(b), max(a) from t;
select sum(a) from t where b < '8';
create function f(n int) returns int language plpgsql as $$ begin if n = 0 then return 0; end if; return f(n - 1) + 1; end $$;
select f(50);
do $$ begin perform 1 / 0; exception when division_by_zero then raise notice 'caught'; end $$;
with recursive r(n) as (select 1 union all select n + 1 from r where n < 1000) select sum(n) from r;
copy (select a from t where a < 5) to stdout;
vacuum t;
SQL
# A function whose first call loads a library, and another program.
psql -qAt <<'SQL'
create extension pgcrypto;
create function g(t text) returns text language plpgsql as $$ begin return encode(digest(t, 'sha256'), 'hex'); end $$;
select g('x');
copy (select 1) to program 'cat >/dev/null';
SQL
pgbench --initialize --quiet --scale=1 2>/dev/null >&2
pgbench --client=4 --transactions=50 --no-vacuum 2>&1 | grep 'actually processed'
pg_ctl stop --silent --mode=fast
echo stopped
