// The other end in test/yamux/go.system.test.ts: HashiCorp's implementation, which sends back whatever comes on a stream.
// peer server PORT accepts streams on the connection it is given; peer client PORT opens 20, and says "ok" when all came back whole.
package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"sync"

	"github.com/hashicorp/yamux"
)

func main() {
	connection, err := net.Dial("tcp", "127.0.0.1:"+os.Args[2])
	check(err)
	config := yamux.DefaultConfig()
	config.LogOutput = os.Stderr
	if os.Args[1] == "server" {
		session, err := yamux.Server(connection, config)
		check(err)
		for {
			stream, err := session.Accept()
			if err != nil {
				return
			}
			go func() {
				io.Copy(stream, stream)
				stream.Close()
			}()
		}
	}
	session, err := yamux.Client(connection, config)
	check(err)
	_, err = session.Ping()
	check(err)
	var all sync.WaitGroup
	for n := 0; n < 20; n++ {
		all.Add(1)
		go func() {
			defer all.Done()
			stream, err := session.Open()
			check(err)
			sent := bytes.Repeat([]byte{byte(n)}, 2_000_000)
			go stream.Write(sent)
			got := make([]byte, len(sent))
			_, err = io.ReadFull(stream, got)
			check(err)
			if !bytes.Equal(sent, got) {
				panic("something else came back")
			}
			stream.Close()
		}()
	}
	all.Wait()
	fmt.Println("ok")
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
