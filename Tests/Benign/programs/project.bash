#!/bin/bash
# Builds a project of C and C++ with make, in parallel, and runs what came of it.
set -e
mkdir -p src && cd src
for i in 1 2 3 4 5 6; do
  echo "int part$i(int n) { return n * $i; }" >part$i.c
done
cat >main.cpp <<'CPP'
#include <iostream>
#include <map>
#include <string>
extern "C" {
int part1(int), part2(int), part3(int), part4(int), part5(int), part6(int);
}
int main() {
  std::map<std::string, int (*)(int)> parts{{"one", part1}, {"two", part2}, {"three", part3}, {"four", part4}, {"five", part5}, {"six", part6}};
  for (auto &[name, part] : parts) std::cout << name << ' ' << part(7) << '\n';
}
CPP
printf 'objects := $(patsubst %%.c,%%.o,$(sort $(wildcard *.c))) main.o\nprogram: libparts.a main.o\n\t$(CXX) -o $@ main.o -L. -lparts\nlibparts.a: $(filter part%%,$(objects))\n\t$(AR) rcs $@ $^\n%%.o: %%.c\n\t$(CC) -O2 -c -o $@ $<\nmain.o: main.cpp\n\t$(CXX) -O1 -std=c++17 -c -o $@ $<\nclean:\n\trm -f *.o *.a program\n' >Makefile
make -s -j2
./program
make -s clean
make -s CFLAGS=-g libparts.a
nm libparts.a | grep -c ' T '
ls | wc -l
