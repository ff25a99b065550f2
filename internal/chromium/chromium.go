// Package chromium drives a headless Chromium in tests, over the DevTools protocol on two pipes. It needs no module: the
// protocol is JSON, and each message ends with a zero byte.
package chromium

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/internal/testenv"
)

// patience is how long the browser may take for one answer.
const patience = time.Minute

// Browser is a running Chromium.
type Browser struct {
	t    testing.TB
	to   *os.File
	lock sync.Mutex // of what follows
	next int
	// waiting has the channel of each call that was not answered yet. pages has the pages by session.
	waiting map[int]chan message
	pages   map[string]*Page
	gone    error
}

// message is what the protocol sends: an answer if it has an ID, else an event.
type message struct {
	ID        int             `json:"id"`
	SessionID string          `json:"sessionId"`
	Method    string          `json:"method"`
	Params    json.RawMessage `json:"params"`
	Result    json.RawMessage `json:"result"`
	Error     *struct {
		Message string `json:"message"`
	} `json:"error"`
}

// Start starts a Chromium that ends with the test. It skips the test if there is none.
func Start(t testing.TB) *Browser {
	t.Helper()
	path := find()
	if path == "" {
		testenv.Lacks(t, testenv.Chromium, "neither chromium nor google-chrome is in PATH")
	}
	fromTest, toBrowser, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	fromBrowser, toTest, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	profile, err := os.MkdirTemp("", "chromium-") //nolint:usetesting // a helper process may still write into it when the test ends
	if err != nil {
		t.Fatal(err)
	}
	// Without a sandbox Chromium also runs as root. The pages are the tests' own.
	cmd := exec.Command(path, "--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--no-first-run",
		"--disable-dev-shm-usage", "--disable-extensions", "--disable-background-networking", "--disable-component-update",
		"--hide-scrollbars", "--force-color-profile=srgb", "--user-data-dir="+profile, "about:blank")
	cmd.ExtraFiles = []*os.File{fromTest, toTest}
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_, _ = fromTest.Close(), toTest.Close()
	b := &Browser{t: t, to: toBrowser, waiting: make(map[int]chan message), pages: make(map[string]*Page)}
	read := make(chan struct{})
	go func() {
		defer close(read)
		b.read(fromBrowser)
	}()
	t.Cleanup(func() {
		_, _ = b.call("", "Browser.close", nil)
		_ = toBrowser.Close()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = cmd.Wait() // it ends as it likes
		}()
		select {
		case <-ended:
		case <-time.After(patience):
			_ = cmd.Process.Kill()
			<-ended
		}
		_ = fromBrowser.Close()
		<-read
		_ = os.RemoveAll(profile)
		if b.next < 4 { // it did not come up
			t.Logf("chromium said:\n%s", said.String())
		}
	})
	return b
}

func find() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// read hands each message to whom it concerns, until the browser closes the pipe.
func (b *Browser) read(from *os.File) {
	in := bufio.NewReaderSize(from, 1<<20)
	for {
		text, err := in.ReadBytes(0)
		if err != nil {
			b.end(fmt.Errorf("chromium ended: %w", err))
			return
		}
		var m message
		if err := json.Unmarshal(text[:len(text)-1], &m); err != nil {
			b.end(fmt.Errorf("chromium: %w", err))
			return
		}
		b.lock.Lock()
		if m.ID != 0 {
			if answer := b.waiting[m.ID]; answer != nil {
				delete(b.waiting, m.ID)
				answer <- m
			}
		} else if p := b.pages[m.SessionID]; p != nil {
			p.event(m)
		}
		b.lock.Unlock()
	}
}

func (b *Browser) end(err error) {
	b.lock.Lock()
	defer b.lock.Unlock()
	b.gone = err
	for id, answer := range b.waiting {
		delete(b.waiting, id)
		close(answer)
	}
}

// call calls a method of the protocol and returns its result.
func (b *Browser) call(session, method string, params any) (json.RawMessage, error) {
	answer := make(chan message, 1)
	b.lock.Lock()
	if b.gone != nil {
		b.lock.Unlock()
		return nil, b.gone
	}
	b.next++
	id := b.next
	b.waiting[id] = answer
	b.lock.Unlock()
	text, err := json.Marshal(struct {
		ID        int    `json:"id"`
		Method    string `json:"method"`
		Params    any    `json:"params,omitempty"`
		SessionID string `json:"sessionId,omitempty"`
	}{id, method, params, session})
	if err != nil {
		return nil, err
	}
	if _, err := b.to.Write(append(text, 0)); err != nil {
		return nil, err
	}
	select {
	case m, ok := <-answer:
		switch {
		case !ok:
			return nil, errors.New("chromium ended")
		case m.Error != nil:
			return nil, fmt.Errorf("%s: %s", method, m.Error.Message)
		}
		return m.Result, nil
	case <-time.After(patience):
		return nil, fmt.Errorf("%s: no answer within %v", method, patience)
	}
}

// Page is a tab of the browser.
type Page struct {
	t       testing.TB
	b       *Browser
	session string
	loaded  chan struct{}
	// The browser's lock guards these.
	messages, requests []string
}

// Look is how a page is seen.
type Look struct {
	// Width and Height are the size of the window in px.
	Width, Height int
	// Dark asks for dark colors. Phone asks for a touch screen with two pixels for each px. Bare turns scripts off.
	Dark, Phone, Bare bool
}

// Open opens an address in a new tab, and returns when it is loaded.
func (b *Browser) Open(url string, l Look) *Page {
	b.t.Helper()
	var made struct {
		TargetID string `json:"targetId"`
	}
	b.must("", "Target.createTarget", map[string]any{"url": "about:blank"}, &made)
	var attached struct {
		SessionID string `json:"sessionId"`
	}
	b.must("", "Target.attachToTarget", map[string]any{"targetId": made.TargetID, "flatten": true}, &attached)
	p := &Page{t: b.t, b: b, session: attached.SessionID, loaded: make(chan struct{}, 8)}
	b.lock.Lock()
	b.pages[p.session] = p
	b.lock.Unlock()
	for _, domain := range []string{"Page", "Runtime", "Log", "Network"} {
		p.call(domain+".enable", nil, nil)
	}
	p.Resize(l)
	if l.Bare {
		p.call("Emulation.setScriptExecutionDisabled", map[string]any{"value": true}, nil)
	}
	p.call("Page.navigate", map[string]any{"url": url}, nil)
	select {
	case <-p.loaded:
	case <-time.After(patience):
		b.t.Fatalf("%s was not loaded within %v", url, patience)
	}
	return p
}

// Resize changes how the page is seen.
func (p *Page) Resize(l Look) {
	p.t.Helper()
	scale := 1
	if l.Phone {
		scale = 2
	}
	p.call("Emulation.setDeviceMetricsOverride", map[string]any{
		"width": l.Width, "height": l.Height, "deviceScaleFactor": scale, "mobile": l.Phone,
	}, nil)
	scheme := "light"
	if l.Dark {
		scheme = "dark"
	}
	p.call("Emulation.setEmulatedMedia", map[string]any{
		"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}},
	}, nil)
}

// must is call for a test that cannot go on without the result.
func (b *Browser) must(session, method string, params, into any) {
	b.t.Helper()
	result, err := b.call(session, method, params)
	if err == nil && into != nil {
		err = json.Unmarshal(result, into)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

func (p *Page) call(method string, params, into any) {
	p.t.Helper()
	p.b.must(p.session, method, params, into)
}

// event keeps what a test asks for later. The caller holds the browser's lock.
func (p *Page) event(m message) {
	switch m.Method {
	case "Page.loadEventFired":
		select {
		case p.loaded <- struct{}{}:
		default: // nobody waits
		}
	case "Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded":
		p.messages = append(p.messages, string(m.Params))
	case "Network.requestWillBeSent":
		var sent struct {
			Request struct {
				URL string `json:"url"`
			} `json:"request"`
		}
		if json.Unmarshal(m.Params, &sent) == nil {
			p.requests = append(p.requests, sent.Request.URL)
		}
	}
}

// Close closes the tab.
func (p *Page) Close() {
	p.t.Helper()
	p.call("Page.close", nil, nil)
}

// Text returns what the page shows, also if its scripts are off.
func (p *Page) Text() string {
	p.t.Helper()
	var shown string
	p.Eval(`document.body.innerText`, &shown)
	return shown
}

// Messages returns what the page wrote to the console, its uncaught errors, and what the browser said about it.
func (p *Page) Messages() []string {
	p.b.lock.Lock()
	defer p.b.lock.Unlock()
	return slices.Clone(p.messages)
}

// Requests returns the addresses that the page asked for, its own one first.
func (p *Page) Requests() []string {
	p.b.lock.Lock()
	defer p.b.lock.Unlock()
	return slices.Clone(p.requests)
}

// Eval evaluates an expression in the page. It waits for a promise, and stores the value in into, which may be nil.
func (p *Page) Eval(expression string, into any) {
	p.t.Helper()
	var got struct {
		Result struct {
			Value json.RawMessage `json:"value"`
		} `json:"result"`
		Exception *struct {
			Text      string `json:"text"`
			Exception struct {
				Description string `json:"description"`
			} `json:"exception"`
		} `json:"exceptionDetails"`
	}
	p.call("Runtime.evaluate", map[string]any{"expression": expression, "awaitPromise": true, "returnByValue": true}, &got)
	if got.Exception != nil {
		p.t.Fatalf("%s: %s %s", expression, got.Exception.Text, got.Exception.Exception.Description)
	}
	if into != nil {
		if err := json.Unmarshal(got.Result.Value, into); err != nil {
			p.t.Fatalf("%s: %s: %v", expression, got.Result.Value, err)
		}
	}
}

// Wait waits until a condition holds in the page. It looks before each picture of the screen.
func (p *Page) Wait(condition string) {
	p.t.Helper()
	var held bool
	p.Eval(`new Promise(done => {
		const end = Date.now() + 20000;
		const look = () => { if (`+condition+`) done(true); else if (Date.now() > end) done(false); else requestAnimationFrame(look); };
		look();
	})`, &held)
	if !held {
		p.t.Fatalf("this did not become true within 20 s: %s", condition)
	}
}

// Mouse sends events of the mouse: "mouseMoved", "mousePressed" or "mouseReleased", at a place of the window in px. clicks is 2
// for a double click. shift is whether the shift key is down.
func (p *Page) Mouse(event string, x, y float64, clicks int, shift bool) {
	p.t.Helper()
	params := map[string]any{"type": event, "x": x, "y": y}
	if event != "mouseMoved" {
		params["button"], params["clickCount"] = "left", clicks
	}
	if event != "mouseReleased" {
		params["buttons"] = clicks & 1
	}
	if shift {
		params["modifiers"] = 8
	}
	p.call("Input.dispatchMouseEvent", params, nil)
}

// Drag presses the mouse at one place and releases it at another.
func (p *Page) Drag(x1, y1, x2, y2 float64, shift bool) {
	p.t.Helper()
	p.Mouse("mouseMoved", x1, y1, 0, shift)
	p.Mouse("mousePressed", x1, y1, 1, shift)
	for i := range 5 {
		part := float64(i+1) / 5
		p.Mouse("mouseMoved", x1+part*(x2-x1), y1+part*(y2-y1), 1, shift)
	}
	p.Mouse("mouseReleased", x2, y2, 1, shift)
}

// DoubleClick clicks twice.
func (p *Page) DoubleClick(x, y float64) {
	p.t.Helper()
	p.Mouse("mouseMoved", x, y, 0, false)
	for n := 1; n <= 2; n++ {
		p.Mouse("mousePressed", x, y, n, false)
		p.Mouse("mouseReleased", x, y, n, false)
	}
}

// Key presses a key by its name: "Enter", "ArrowLeft", "+".
func (p *Page) Key(name string, shift bool) {
	p.t.Helper()
	params := map[string]any{"type": "keyDown", "key": name}
	if shift {
		params["modifiers"] = 8
	}
	p.call("Input.dispatchKeyEvent", params, nil)
	params["type"] = "keyUp"
	p.call("Input.dispatchKeyEvent", params, nil)
}

// Picture returns a PNG of the page: of the window, or of the whole page.
func (p *Page) Picture(whole bool) []byte {
	p.t.Helper()
	return p.image("Page.captureScreenshot", map[string]any{"format": "png", "captureBeyondViewport": whole})
}

// Print returns the page as a PDF.
func (p *Page) Print() []byte {
	p.t.Helper()
	return p.image("Page.printToPDF", map[string]any{"printBackground": true})
}

func (p *Page) image(method string, params map[string]any) []byte {
	p.t.Helper()
	var got struct {
		Data string `json:"data"`
	}
	p.call(method, params, &got)
	data, err := base64.StdEncoding.DecodeString(got.Data)
	if err != nil {
		p.t.Fatal(err)
	}
	return data
}
