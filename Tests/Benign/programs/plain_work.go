//go:build !cgo

package main

func work() {}
