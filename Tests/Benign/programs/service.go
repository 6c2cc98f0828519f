// A service in Go: HTTP and HTTPS with many clients, children, templates, compression, signals, and a graceful end.
package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"os/user"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func text(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	check(err)
	w.Header().Set("Content-Encoding", "gzip")
	packer := gzip.NewWriter(w)
	for n := 0; n < 50; n++ {
		json.NewEncoder(packer).Encode(map[string]string{"path": r.URL.Path, "body": string(body)})
	}
	packer.Close()
}

func child(w http.ResponseWriter, r *http.Request) {
	out, err := exec.CommandContext(r.Context(), "sh", "-c", "echo served by $((6 * 7))").CombinedOutput()
	check(err)
	w.Write(out)
}

func load(client *http.Client, base string) int64 {
	var total int64
	var group sync.WaitGroup
	for worker := 0; worker < 8; worker++ {
		group.Add(1)
		go func(worker int) {
			defer group.Done()
			for n := 0; n < 40; n++ {
				answer, err := client.Post(fmt.Sprint(base, "/text/", n), "text/plain", bytes.NewBufferString(fmt.Sprint("body ", worker)))
				check(err)
				all, err := io.ReadAll(answer.Body)
				check(err)
				answer.Body.Close()
				atomic.AddInt64(&total, int64(len(all)))
			}
			answer, err := client.Get(base + "/child")
			check(err)
			all, _ := io.ReadAll(answer.Body)
			answer.Body.Close()
			atomic.AddInt64(&total, int64(len(all)))
		}(worker)
	}
	group.Wait()
	return total
}

func main() {
	mux := http.NewServeMux()
	mux.HandleFunc("/text/", text)
	mux.HandleFunc("/child", child)
	check(exec.Command("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "key",
		"-out", "certificate", "-subj", "/CN=localhost", "-days", "2").Run())
	for _, secure := range []bool{false, true} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		check(err)
		server := &http.Server{Handler: mux}
		scheme := "http"
		client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
		if secure {
			scheme = "https"
			go server.ServeTLS(listener, "certificate", "key")
		} else {
			go server.Serve(listener)
		}
		fmt.Println(scheme, load(client, scheme+"://"+listener.Addr().String()))
		client.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		check(server.Shutdown(ctx))
		cancel()
	}
	self, err := user.Current()
	check(err)
	addresses, err := net.LookupHost("localhost")
	check(err)
	fmt.Println(self.Uid == fmt.Sprint(os.Getuid()), len(addresses) > 0, fmt.Sprintf("%x", sha256.Sum256([]byte("x")))[:8])
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, syscall.SIGTERM)
	syscall.Kill(os.Getpid(), syscall.SIGTERM)
	fmt.Println(<-caught)
	check(syscall.Exec("/bin/echo", []string{"echo", "replaced"}, os.Environ()))
}
