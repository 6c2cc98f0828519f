#!/bin/bash
set -e
seq 1000 | sort -rn | head -3 | sha256sum
cp /etc/passwd p
cmp p /etc/passwd
wc -l <p
timeout 5 env nice true
find /usr/bin -name 'g*' | sort | xargs -n 5 basename -a | sed s/g/G/ | grep -c G
tar -cf - p | tar -tf -
exec echo last
