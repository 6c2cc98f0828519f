// Goroutines, channels, processes, files, sockets, signals, deep stacks that are moved while they grow, and locked threads.
package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"sort"
	"sync"
	"syscall"
	"time"
)

//go:noinline
func probe() {
	syscall.RawSyscall(syscall.SYS_SETFSUID, ^uintptr(0), 0, 0)
	syscall.Getppid()
	if _, err := os.Stat("/"); err != nil {
		panic(err)
	}
}

//go:noinline
func deep(levels int) int {
	var room [100]int
	room[levels%100] = levels
	if levels == 0 {
		probe()
		return 0
	}
	defer func() { room[0]++ }()
	return deep(levels-1) + room[levels%100] - levels + 1
}

func recovers(n int) (result int) {
	defer func() {
		probe()
		if r := recover(); r != nil {
			result = r.(int)
		}
	}()
	if n%2 == 0 {
		panic(n)
	}
	var nothing *struct{ a int }
	defer func() { recover(); result = -n }()
	return nothing.a
}

func files() int {
	folder, err := os.MkdirTemp(".", "go")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(folder)
	for n := 0; n < 50; n++ {
		if err := os.WriteFile(filepath.Join(folder, fmt.Sprint(n)), make([]byte, n), 0o600); err != nil {
			panic(err)
		}
	}
	total := 0
	filepath.Walk(folder, func(_ string, info os.FileInfo, _ error) error {
		if !info.IsDir() {
			total += int(info.Size())
		}
		return nil
	})
	return total
}

func sockets(rounds int) int {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer listener.Close()
	go func() {
		for {
			caller, err := listener.Accept()
			if err != nil {
				return
			}
			go func() { io.Copy(caller, caller); caller.Close() }()
		}
	}()
	total := 0
	for n := 0; n < rounds; n++ {
		caller, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			panic(err)
		}
		caller.Write([]byte("hello"))
		caller.(*net.TCPConn).CloseWrite()
		all, _ := io.ReadAll(caller)
		total += len(all)
		caller.Close()
	}
	return total
}

func main() {
	work()
	var group sync.WaitGroup
	results := make(chan int, 100)
	for n := 0; n < 50; n++ {
		group.Add(1)
		go func(n int) {
			defer group.Done()
			if n%5 == 0 {
				runtime.LockOSThread()
				defer runtime.UnlockOSThread()
			}
			results <- deep(10*n) + recovers(n)
		}(n)
	}
	group.Wait()
	close(results)
	sum := 0
	for n := range results {
		sum += n
	}
	fmt.Println(sum)

	numbers := []int{5, 2, 8, 1}
	sort.Slice(numbers, func(a, b int) bool { probe(); return numbers[a] < numbers[b] })
	fmt.Println(numbers, files(), sockets(20))

	for n := 0; n < 3; n++ {
		output, err := exec.Command("echo", "from a child").Output()
		fmt.Printf("%s%v\n", output, err)
	}
	var buffer bytes.Buffer
	command := exec.Command("cat")
	command.Stdin = bytes.NewReader([]byte("through a pipe"))
	command.Stdout = &buffer
	fmt.Println(command.Run(), buffer.String())

	caught := make(chan os.Signal, 1)
	signal.Notify(caught, syscall.SIGUSR1)
	for n := 0; n < 5; n++ {
		syscall.Kill(os.Getpid(), syscall.SIGUSR1)
		<-caught
	}
	// A loop without calls is preempted by a signal.
	done := make(chan bool)
	go func() {
		total := 0
		for n := 0; n < 200_000_000; n++ {
			total += n & 1
		}
		done <- total > 0
	}()
	ticker := time.NewTicker(time.Millisecond)
	for running := true; running; {
		select {
		case <-done:
			running = false
		case <-ticker.C:
			probe()
		}
	}
	runtime.GC()
	probe()
	os.Exit(6)
}
