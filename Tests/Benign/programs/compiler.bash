#!/bin/bash
# Compiles and runs a program that starts others in every way that C has; dynamic, static, and without optimisation.
set -e
source=$(cd "$(dirname "$0")" && pwd)/processes.c
gcc -O2 -pthread -o dynamic "$source"
./dynamic || echo $?
gcc -O2 -static -pthread -o static "$source"
./static || echo $?
gcc -O0 -fno-omit-frame-pointer -fcf-protection -pthread -o plain "$source"
./plain || echo $?
gcc -O2 -flto -fstack-protector-all -mindirect-branch=thunk -fcf-protection=none -no-pie -pthread -o hardened "$source"
./hardened || echo $?
