package main

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"runtime/debug"
	"sort"
	"sync"
	"syscall"
	"time"
)

// goroutines and channels
func fan() {
	work, results := make(chan int), make(chan int)
	var group sync.WaitGroup
	for i := 0; i < 50; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for n := range work {
				results <- n * n
			}
		}()
	}
	go func() {
		for i := 0; i < 1000; i++ {
			work <- i
		}
		close(work)
		group.Wait()
		close(results)
	}()
	sum := 0
	for r := range results {
		sum += r
	}
	fmt.Println("sum of squares", sum)
}

type node struct {
	left, right *node
	data        [32]int
}

func tree(depth int) *node {
	if depth == 0 {
		return &node{}
	}
	return &node{left: tree(depth - 1), right: tree(depth - 1)}
}

func (n *node) count() int {
	if n == nil {
		return 0
	}
	return 1 + n.left.count() + n.right.count()
}

// garbage collection under pressure, in several goroutines
func garbage() {
	debug.SetGCPercent(20)
	var group sync.WaitGroup
	counts := make([]int, 4)
	for g := range counts {
		group.Add(1)
		go func(g int) {
			defer group.Done()
			for i := 0; i < 20; i++ {
				counts[g] += tree(10).count()
			}
		}(g)
	}
	group.Wait()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	fmt.Println("nodes", counts, "collected", stats.NumGC > 10)
}

// a loop without calls gives way: asynchronous preemption
func preempt() {
	runtime.GOMAXPROCS(1)
	stop := false
	go func() {
		for !stop {
		}
	}()
	time.Sleep(20 * time.Millisecond)
	fmt.Println("the loop gave way")
	stop = true
	runtime.GOMAXPROCS(4)
}

func timers() {
	ticker := time.NewTicker(3 * time.Millisecond)
	for i := 0; i < 5; i++ {
		<-ticker.C
	}
	ticker.Stop()
	done := make(chan bool)
	time.AfterFunc(5*time.Millisecond, func() { close(done) })
	select {
	case <-done:
		fmt.Println("timer")
	case <-time.After(20 * time.Second):
		fmt.Println("late")
	}
}

func signals() {
	got := make(chan os.Signal, 1)
	signal.Notify(got, syscall.SIGUSR1)
	syscall.Kill(os.Getpid(), syscall.SIGUSR1)
	fmt.Println("signal", <-got)
}

func processes() {
	self, _ := os.Executable()
	var lines []string
	var mutex sync.Mutex
	var group sync.WaitGroup
	for i := 0; i < 4; i++ {
		group.Add(1)
		go func(i int) {
			defer group.Done()
			out, err := exec.Command(self, "child", fmt.Sprint(i)).CombinedOutput()
			mutex.Lock()
			lines = append(lines, fmt.Sprint(string(out), err))
			mutex.Unlock()
		}(i)
	}
	group.Wait()
	sort.Strings(lines)
	fmt.Println(lines)
}

func main() {
	if len(os.Args) > 2 {
		fmt.Print("child ", os.Args[2], " ")
		os.Exit(len(os.Args[2]))
	}
	fan()
	garbage()
	preempt()
	timers()
	signals()
	processes()
	defer func() { fmt.Println("recovered:", recover()) }()
	var nothing *node
	fmt.Println(nothing.data)
}
