#!/bin/bash
set -e
export GIT_CONFIG_GLOBAL=/dev/null GIT_AUTHOR_DATE='2026-01-01T00:00:00Z' GIT_COMMITTER_DATE='2026-01-01T00:00:00Z' GIT_PAGER=cat
git init -q -b main r
cd r
git config user.name N
git config user.email n@example.org
printf '#!/bin/sh\necho from a hook\n' >.git/hooks/post-commit
chmod +x .git/hooks/post-commit
echo one >f
git add f
git commit -qm first
echo two >>f
git commit -qam second
git log --format='%H %s'
git clone -q . ../c
git -C ../c status
git gc -q
git fsck
git diff HEAD~1
