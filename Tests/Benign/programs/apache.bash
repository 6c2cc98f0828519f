#!/bin/bash
# Apache with TLS, a CGI script in Python, PHP by php-cgi, and a proxy to itself; reloaded and stopped as its init script does.
set -e
folder=$PWD
mkdir -p html cgi logs
for i in 1 2 3; do head -c $((i * 5000)) /dev/zero | tr '\0' x >html/$i.txt; done
cat >cgi/script.py <<'PYTHON'
#!/usr/bin/python3
import os
import sys

print("Content-Type: text/plain\n")
print(os.environ["REQUEST_METHOD"], sys.stdin.read())
PYTHON
cat >html/page.php <<'PHP'
<?php
$sums = array_map(fn($n) => $n * $n, range(1, 10));
echo array_sum($sums), preg_match('/^(\w+)-\d+$/', 'page-42', $found), $found[1], json_encode(['q' => $_GET['q'] ?? null]);
$db = hash('sha256', 'x'); echo substr($db, 0, 8), shell_exec('echo from a shell');
PHP
chmod 755 . html cgi cgi/* logs; chmod 644 html/*
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key -out certificate -subj /CN=localhost -days 2 2>/dev/null
read -r plain secure < <(/usr/bin/python3 -c 'import socket
two = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*(s.getsockname()[1] for s in two))')
modules=/usr/lib/apache2/modules
cat >apache.conf <<CONF
ServerRoot $folder
ServerName localhost
PidFile $folder/pid
DefaultRuntimeDir $folder
ErrorLog $folder/logs/error
$(for name in mpm_event authz_core authz_host dir mime alias autoindex filter deflate rewrite headers actions cgid socache_shmcb ssl http2 proxy proxy_http; do
  echo "LoadModule ${name}_module $modules/mod_$name.so"; done)
Listen 127.0.0.1:$plain
Listen 127.0.0.1:$secure https
StartServers 2
KeepAliveTimeout 1
ThreadsPerChild 8
ThreadLimit 8
MinSpareThreads 8
MaxSpareThreads 16
MaxRequestWorkers 16
ScriptSock $folder/cgisock
TypesConfig /dev/null
AddType text/plain .txt
User www-data
Group www-data
<Directory $folder>
  Require all granted
  Options +Indexes +FollowSymLinks +ExecCGI
</Directory>
DocumentRoot $folder/html
DirectoryIndex none
AddOutputFilterByType DEFLATE text/plain
ScriptAlias /cgi/ $folder/cgi/
ScriptAlias /php /usr/lib/cgi-bin/php8.2
<Directory /usr/lib/cgi-bin>
  Require all granted
</Directory>
AddHandler php .php
Action php /php
RewriteEngine on
RewriteRule ^/moved$ /1.txt [PT]
ProxyPass /inner http://127.0.0.1:$plain/2.txt
<VirtualHost 127.0.0.1:$secure>
  SSLEngine on
  SSLCertificateFile $folder/certificate
  SSLCertificateKeyFile $folder/key
  Protocols h2 http/1.1
</VirtualHost>
CONF
[ "$(id -u)" != 0 ] || chown www-data . logs
/usr/sbin/apache2 -f "$folder/apache.conf" -k start
for i in $(seq 100); do [ -e pid ] && break; sleep 0.05; done
cat >client.py <<'PYTHON'
import http.client
import ssl
import sys
import time

plain, secure = map(int, sys.argv[1:])
context = ssl.create_default_context(cafile="certificate")


def connection(n):
    return http.client.HTTPSConnection("localhost", secure, context=context) if n % 2 else http.client.HTTPConnection("127.0.0.1", plain)


for _ in range(100):
    try:
        connection(0).connect()
        break
    except OSError:
        time.sleep(0.05)
total, texts = 0, set()
for n in range(8):
    one = connection(n)
    for path in "/1.txt", "/3.txt", "/inner", "/moved", "/", "/nowhere":
        one.request("GET", path, headers={"Accept-Encoding": "gzip" if n % 4 > 1 else "identity"})
        answer = one.getresponse()
        body = answer.read()
        total += answer.status + (len(body) if n % 4 < 2 and answer.status == 200 and path not in "/" else 0)
    one.close()
    one = connection(n)
    one.request("POST", "/cgi/script.py", body="a body")
    texts.add(one.getresponse().read())
    one.close()
    one = connection(n)
    one.request("GET", "/page.php?q=a")
    texts.add(one.getresponse().read())
    one.close()
print(total, sorted(texts))
PYTHON
/usr/bin/python3 client.py "$plain" "$secure"
/usr/sbin/apache2 -f "$folder/apache.conf" -k graceful
sleep 0.3
/usr/bin/python3 client.py "$plain" "$secure"
/usr/sbin/apache2 -f "$folder/apache.conf" -k stop
for i in $(seq 200); do [ -e pid ] || break; sleep 0.05; done
! grep -E ':(alert|crit|emerg)\]|exit signal' logs/error
echo stopped
