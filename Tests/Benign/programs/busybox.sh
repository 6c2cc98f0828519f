#!/bin/busybox sh
# busybox: a shell and tools in one static file.
set -e
b=/bin/busybox
$b mkdir -p t && cd t
for i in 1 2 3 4 5 6 7 8; do $b echo $i; done >numbers
$b sort -rn numbers | $b head -n 3 | $b tr '\n' ' '
$b seq 300 | $b awk '{ s += $1 } END { print s }'
$b sed -n 's/3/three/p' numbers
x=$($b cat numbers | $b wc -l)
echo "$x lines"
(exit 3) || echo $?
$b tar -cf a.tar numbers && $b gzip a.tar && $b tar -tzf a.tar.gz
$b find . -type f | $b sort
$b md5sum numbers
for i in 1 2 3; do (echo $i >out$i) & done
wait
$b cat out1 out2 out3
trap 'echo usr1' USR1
kill -USR1 $$
$b vi -h >/dev/null 2>&1 || true
$b ash -c 'f() { [ $1 = 0 ] || { $0 true 2>/dev/null; f $(($1 - 1)); }; }; f 5; echo done'
cd .. && $b rm -r t
