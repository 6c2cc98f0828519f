#!/bin/bash
set -e
for i in 1 2 3; do echo $((i * i)); done
x=$(echo sub | tr "[:lower:]" "[:upper:]")
echo "$x"
(exit 3) || echo $?
for i in 1 2 3 4 5; do (sleep 0.01; echo $i >$i) & done
wait
cat 1 2 3 4 5
trap 'echo bye; /bin/true' EXIT
trap 'echo usr1' USR1
kill -USR1 $$
dash -c "echo \$(dash -c \"echo inner\"); ls / | head -1"
