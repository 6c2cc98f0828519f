#!/bin/bash
# What a worker of continuous integration does: fetch, unpack, build in parallel, test, pack, and install what was packed.
set -eo pipefail
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export GIT_CONFIG_GLOBAL=/dev/null GIT_AUTHOR_DATE='2026-01-01T00:00:00Z' GIT_COMMITTER_DATE='2026-01-01T00:00:00Z' HOME=$PWD
export SOURCE_DATE_EPOCH=1767225600 PYTHONDONTWRITEBYTECODE=1
git init -q -b main origin
mkdir -p origin/src origin/python/made
cd origin
for i in 1 2 3 4 5 6 7 8; do echo "#include <stdio.h>
int part$i(int n) { return n * $i + printf(\"part $i\\n\") * 0; }" >src/part$i.c; done
{ echo '#include <stdlib.h>'; for i in 1 2 3 4 5 6 7 8; do echo "int part$i(int);"; done; echo 'int main(void) { int s = 0;'
  for i in 1 2 3 4 5 6 7 8; do echo "s += part$i($i);"; done; echo 'return s != 204 || system("echo by the program"); }'; } >src/main.c
echo 'int twice(int n) { return 2 * n; }' >src/twice.c
cat >Makefile <<'MAKE'
parts := $(patsubst %.c,%.o,$(wildcard src/part*.c))
all: program libtwice.so
program: src/main.o $(parts)
	$(CC) -o $@ $^
libtwice.so: src/twice.c
	$(CC) -shared -fPIC -o $@ $<
%.o: %.c
	$(CC) -O2 -g -c -o $@ $<
check: all
	./program >out && sort out | head -2
	python3 -m unittest -q python/test_made.py 2>&1 | grep -v ^Ran
	perl -Ilib -e 'use POSIX; use File::Temp; use Digest::SHA "sha1_hex"; print sha1_hex("x"), " ", qx(echo by perl); exec "echo", "perl" if fork == 0; wait'
	ruby -e 'require "json"; require "socket"; require "digest"; puts JSON.generate([`echo by ruby`, Digest::SHA1.hexdigest("x")])'
MAKE
echo 'import subprocess
def twice(n): return n + int(subprocess.check_output(["echo", str(n)]))' >python/made/__init__.py
cat >python/test_made.py <<'PYTHON'
import sys, unittest
sys.path.insert(0, "python")
import made
class Test(unittest.TestCase):
    def test(self): self.assertEqual(made.twice(2), 4)
PYTHON
printf '#!/bin/sh\necho hook ran\n' >.git/hooks/pre-commit
chmod +x .git/hooks/pre-commit
git add -A
git -c user.name=N -c user.email=n@example.org commit -qm first
cd ..
git clone -q --no-local origin clone
cd clone
make -s -j4 all
make -s check
tar --sort=name --mtime=@$SOURCE_DATE_EPOCH --owner=0 --group=0 --numeric-owner -czf ../built.tar.gz program libtwice.so python
cd ..
mkdir unpacked && tar -xzf built.tar.gz -C unpacked
./unpacked/program >/dev/null && echo runs
printf 'import sys\nsys.exit(print("zipped"))\n' >unpacked/python/__main__.py
python3 -m zipapp unpacked/python -o app.pyz && python3 app.pyz
# A package with scripts is built, and installed below this folder.
mkdir -p package/DEBIAN package/usr/bin
cp unpacked/program package/usr/bin
printf 'Package: made\nVersion: 1\nArchitecture: all\nMaintainer: N <n@example.org>\nDescription: made here\n' >package/DEBIAN/control
printf '#!/bin/sh\necho configured\n' >package/DEBIAN/postinst
chmod 755 package/DEBIAN/postinst
dpkg-deb --root-owner-group -b package made.deb | sed 's/ in .*//'
mkdir -p root/var/lib/dpkg/{info,updates,triggers} && touch root/var/lib/dpkg/status
dpkg --root=$PWD/root --force-script-chrootless --force-not-root --log=/dev/null --install made.deb | tail -n 2
dpkg --root=$PWD/root --force-not-root -L made | tail -n 1
./root/usr/bin/program | tail -n 1
