// Goroutines, a timer, the garbage collector and a file: a static Go program's daily life.
package main

import (
	"fmt"
	"os"
	"runtime"
	"time"
)

func main() {
	sums := make(chan int)
	for part := 0; part < 8; part++ {
		go func(from int) {
			sum := 0
			for i := from; i < 8000; i += 8 {
				sum += i
			}
			sums <- sum
		}(part)
	}
	total := 0
	for part := 0; part < 8; part++ {
		total += <-sums
	}
	<-time.After(10 * time.Millisecond)
	for i := 0; i < 20; i++ {
		_ = make([]byte, 1<<20)
	}
	runtime.GC()
	if err := os.WriteFile("/tmp/file", []byte("kept"), 0o600); err != nil {
		panic(err)
	}
	kept, _ := os.ReadFile("/tmp/file")
	fmt.Println(total, string(kept), os.Args[1:])
}
