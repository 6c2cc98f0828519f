//go:build cgo

package main

/*
#include <stdlib.h>
#include <sys/fsuid.h>
#include <unistd.h>

extern int compareInGo(void *, void *);
static int compare(const void *a, const void *b) { return compareInGo((void *)a, (void *)b); }
static void sort(int *numbers, size_t count) { qsort(numbers, count, sizeof *numbers, compare); }
static void probe_in_c(void) { setfsuid(-1); getppid(); access("/", R_OK); }
*/
import "C"

import (
	"fmt"
	"unsafe"
)

//export compareInGo
func compareInGo(a, b unsafe.Pointer) C.int {
	probe()
	C.probe_in_c()
	return *(*C.int)(a) - *(*C.int)(b)
}

// From Go to C, from there back to Go, and to C once more.
func work() {
	numbers := []C.int{3, 1, 2, 9, 4}
	C.sort(&numbers[0], C.size_t(len(numbers)))
	fmt.Println(numbers)
	done := make(chan bool)
	for n := 0; n < 10; n++ {
		go func() { C.probe_in_c(); deep(50); done <- true }()
	}
	for n := 0; n < 10; n++ {
		<-done
	}
}
