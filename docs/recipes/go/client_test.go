package recipe

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
)

var control string

// TestMain starts comfyrec once. It ends with the tests, however they end: its standard input is
// closed then.
func TestMain(m *testing.M) {
	comfyrec := exec.Command("comfyrec", "serve", "--port", "0", "--speed", "auto", "--print", "json", "--exit-on-stdin-close")
	comfyrec.Stderr = os.Stderr
	stdin, err := comfyrec.StdinPipe()
	must(err)
	stdout, err := comfyrec.StdoutPipe()
	must(err)
	must(comfyrec.Start())
	var ready struct{ URL string }
	must(json.NewDecoder(stdout).Decode(&ready))
	control = ready.URL + "/__fake__"
	status := m.Run()
	must(stdin.Close())
	must(comfyrec.Wait())
	os.Exit(status)
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// server gives a test a fresh server, and ends it with the test.
func server(t *testing.T, body string) string {
	t.Helper()
	var made struct {
		URL     string
		Control string `json:"control_url"`
	}
	answer, err := http.Post(control+"/servers", "application/json", strings.NewReader(body))
	if err := decode(answer, err, &made); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		end, err := http.NewRequest(http.MethodDelete, made.Control, nil)
		must(err)
		answer, err := http.DefaultClient.Do(end)
		must(err)
		answer.Body.Close()
	})
	return made.URL
}

func TestRun(t *testing.T) {
	workflow, err := os.ReadFile("../workflow.json")
	must(err)
	for _, test := range []struct{ name, server, outcome string }{
		{"a run that succeeds", `{"scenario": "success"}`, "success"},
		{"a node that fails", `{"plan": {"1": {"raise": "out of memory"}}}`, "error"},
		{"a prompt behind others", `{"scenario": "queued-behind"}`, "success"},
	} {
		t.Run(test.name, func(t *testing.T) {
			outcome, err := Run(server(t, test.server), workflow)
			if err != nil || outcome != test.outcome {
				t.Errorf("it ended with %q (%v), expected %q", outcome, err, test.outcome)
			}
		})
	}
}
