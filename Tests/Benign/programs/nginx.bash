#!/bin/bash
# nginx with two workers and a real client.
set -e
folder=$PWD
mkdir -p html logs temporary
for i in 1 2 3; do head -c $((i * 5000)) /dev/zero | tr '\0' x >html/$i.txt; done
cat >nginx.conf <<CONF
worker_processes 2;
pid $folder/nginx.pid;
error_log $folder/logs/error.log;
events { worker_connections 64; }
http {
  access_log $folder/logs/access.log;
  client_body_temp_path temporary/a; proxy_temp_path temporary/b; fastcgi_temp_path temporary/c; uwsgi_temp_path temporary/d; scgi_temp_path temporary/e;
  gzip on; gzip_types text/plain;
  server { listen unix:$folder/http.sock; root $folder/html; location /inner { proxy_pass http://unix:$folder/http.sock:/2.txt; } autoindex on; }
}
CONF
chmod 755 . html; chmod 644 html/*
nginx -p "$folder" -c nginx.conf -e logs/error.log
/usr/bin/python3 - <<'PYTHON'
import http.client, socket

class Connection(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect("http.sock")

total = 0
for n in range(60):
    connection = Connection("localhost")
    for path in "/1.txt", "/3.txt", "/inner", "/", "/nowhere":
        connection.request("GET", path, headers={"Accept-Encoding": "gzip" if n % 2 else "identity"})
        answer = connection.getresponse()
        body = answer.read()
        # Compressed, or with dates in it, it may be of another length.
        total += answer.status + (len(body) if n % 2 == 0 and path != "/" else 0)
    connection.close()
print(total)
PYTHON
nginx -p "$folder" -c nginx.conf -e logs/error.log -s reload
sleep 0.2
nginx -p "$folder" -c nginx.conf -e logs/error.log -s quit
for i in $(seq 100); do [ -e nginx.pid ] || break; sleep 0.05; done
wc -l <logs/access.log
! grep -E 'alert|crit' logs/error.log
