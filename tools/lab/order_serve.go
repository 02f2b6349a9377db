package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"
)

// ordersName is the socket of a lab that takes orders, in its directory.
const ordersName = "orders.sock"

// orderWithin bounds one exchange; restoring a gateway waits for nothing.
const orderWithin = 30 * time.Second

// takeOrders answers orders at the socket until ctx ends.
func (c *cluster) takeOrders(ctx context.Context) error {
	l, err := net.Listen("unix", c.site.file(ordersName))
	if err != nil {
		return fmt.Errorf("take orders: %v", err)
	}
	// The directory lets others in; faults are root's.
	if err := os.Chmod(c.site.file(ordersName), 0o600); err != nil {
		return errors.Join(err, l.Close())
	}
	var orders sync.WaitGroup
	defer orders.Wait()
	defer context.AfterFunc(ctx, func() { l.Close() })()
	for {
		conn, err := l.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("take orders: %v", err)
		}
		orders.Go(func() { c.answer(conn) })
	}
}

// answer takes one line and answers by one that begins with "ok" or "failed".
func (c *cluster) answer(conn net.Conn) {
	defer conn.Close()
	if conn.SetDeadline(time.Now().Add(orderWithin)) != nil {
		return
	}
	line, err := bufio.NewReader(io.LimitReader(conn, 1000)).ReadString('\n')
	if err != nil {
		return
	}
	done, err := c.order(strings.Fields(line))
	if err != nil {
		fmt.Fprintf(conn, "failed %s\n", oneLine(err.Error()))
		return
	}
	fmt.Fprintf(conn, "ok %s\n", done)
}

// order reads an order, carries it out and reports it.
func (c *cluster) order(words []string) (string, error) {
	o, err := parseOrder(words)
	if err != nil {
		return "", err
	}
	done, err := c.obey(o)
	if err != nil {
		return "", err
	}
	c.report.line("fault", "%s: %s: %s", o.gateway, strings.Join(words, " "), done)
	return done, nil
}

// runFault is "lab fault": it gives an order to the lab that runs.
func runFault(args []string, stdout, stderr io.Writer) int {
	f := flag.NewFlagSet("lab fault", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.Usage = func() { fmt.Fprintln(stderr, "usage: lab fault [--name NAME] "+faultUsage) }
	name := f.String("name", "lab", "`name` of the lab")
	if err := f.Parse(args); err != nil {
		return 2
	}
	if _, err := parseOrder(f.Args()); err != nil || !names.MatchString(*name) {
		fmt.Fprintf(stderr, "lab fault: %v\n", errors.Join(err, nameFault(*name)))
		return 2
	}
	done, err := sendOrder((&site{dir: dirOf(*name)}).file(ordersName), f.Args())
	if err != nil {
		fmt.Fprintf(stderr, "lab fault: %v\n", err)
		return 1
	}
	fmt.Fprintln(stdout, done)
	return 0
}

func nameFault(name string) error {
	if names.MatchString(name) {
		return nil
	}
	return fmt.Errorf("--name %q: at most 20 small letters, digits and dashes", name)
}

// sendOrder gives an order and returns what was done.
func sendOrder(socket string, words []string) (string, error) {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return "", fmt.Errorf("reach the lab: %v; \"lab --gateways 2\" starts one", err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(orderWithin)); err != nil {
		return "", err
	}
	if _, err := fmt.Fprintln(conn, strings.Join(words, " ")); err != nil {
		return "", err
	}
	text, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("read the lab's answer: %v", err)
	}
	verdict, rest, _ := strings.Cut(strings.TrimSpace(text), " ")
	if verdict != "ok" {
		return "", errors.New(rest)
	}
	return rest, nil
}
