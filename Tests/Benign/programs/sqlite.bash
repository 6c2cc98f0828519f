#!/bin/bash
set -e
sqlite3 d.db 'create table t(a, b); insert into t values (1, 2), (3, 4); select sum(a * b) from t;'
sqlite3 d.db .schema
sqlite3 d.db '.shell echo from a shell'
