// Package recipe is a small client: it posts a workflow and waits for the end of its prompt.
package recipe

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// Run posts a workflow in API format and gives "success" or "error", as the history has it.
func Run(url string, workflow json.RawMessage) (string, error) {
	body, err := json.Marshal(map[string]any{"prompt": workflow, "client_id": "go"})
	if err != nil {
		return "", err
	}
	var accepted struct {
		ID string `json:"prompt_id"`
	}
	answer, err := http.Post(url+"/prompt", "application/json", bytes.NewReader(body))
	if err := decode(answer, err, &accepted); err != nil {
		return "", err
	}
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		var history map[string]struct {
			Status struct {
				Text string `json:"status_str"`
			} `json:"status"`
		}
		answer, err := http.Get(url + "/history/" + accepted.ID)
		if err := decode(answer, err, &history); err != nil {
			return "", err
		}
		if entry, ended := history[accepted.ID]; ended {
			return entry.Status.Text, nil
		}
	}
	return "", fmt.Errorf("prompt %s did not end", accepted.ID)
}

func decode(answer *http.Response, err error, into any) error {
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s was answered with %s", answer.Request.URL.Path, answer.Status)
	}
	return json.NewDecoder(answer.Body).Decode(into)
}
