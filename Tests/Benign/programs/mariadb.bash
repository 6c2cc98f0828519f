#!/bin/bash
# MariaDB: a database is made, served to several clients at once, and shut down.
set -e
run_as=()
[ "$(id -u)" != 0 ] || run_as=(--user=nobody)
mkdir data
chmod 755 .
[ "$(id -u)" != 0 ] || chown nobody . data
server() {
  /usr/sbin/mariadbd --no-defaults "${run_as[@]}" --datadir="$PWD/data" --skip-networking --socket="$PWD/socket" --pid-file="$PWD/pid" \
    --innodb-buffer-pool-size=16M --innodb-log-file-size=4M --innodb-flush-log-at-trx-commit=0 --innodb-doublewrite=0 "$@"
}
{ printf '%s;\n' 'create database mysql' 'use mysql'; cat /usr/share/mysql/mysql_system_tables.sql; } | server --bootstrap 2>boot.log
server --skip-grant-tables --thread-handling=pool-of-threads 2>server.log &
sql() { mariadb --no-defaults --socket="$PWD/socket" --batch --skip-column-names "$@"; }
for i in $(seq 200); do [ -S socket ] && break; sleep 0.05; done
sql <<'SQL'
create database d;
use d;
create table t (a int primary key auto_increment, b char(32), fulltext (b)) engine=innodb;
insert into t (b) select md5(seq) from seq_1_to_5000;
create index i on t (b);
select count(*), min(b), max(a) from t;
select sum(a) from t where b < '8';
select a from t where b regexp '^00[a-f]{3}' order by a;
select json_extract('{"a": [1, 2]}', '$.a[1]'), uuid() regexp '^[0-9a-f-]+$', aes_decrypt(aes_encrypt('x', 'k'), 'k');
delimiter //
create function f(n int) returns int deterministic begin declare s int default 0; while n > 0 do set s = s + n, n = n - 1; end while; return s; end//
delimiter ;
select f(100);
with recursive r(n) as (select 1 union all select n + 1 from r where n < 900) select sum(n) from r;
create table m engine=myisam select * from t where a < 100;
create table e engine=aria select * from t where a < 50;
select (select count(*) from m), (select count(*) from e);
alter table t add column c int default 7, algorithm=copy;
select sum(c) from t;
SQL
for i in 1 2 3 4; do
  for n in $(seq 50); do echo "start transaction; update d.t set c = c + 1 where a = $((n % 10 + 1)); insert into d.t (b) values ('$i'); commit;"; done |
    sql &
  clients="$clients $!"
done
wait $clients
sql -e 'select sum(c), count(*) from d.t; check table d.t; shutdown'
wait
! grep -E 'ERROR|signal' server.log
echo stopped
