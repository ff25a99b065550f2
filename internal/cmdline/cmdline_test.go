package cmdline_test

import (
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/internal/cmdline"
)

// The secret of the table. No part of it may be left.
const secret = "hunter2-XYZZY"

func TestMask(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		// URLs
		{"curl https://user:" + secret + "@host/x", "curl https://***@host/x"},
		{"curl https://" + secret + "@host/x", "curl https://***@host/x"},
		{"psql postgres://bob:" + secret + "@db:5432/x?sslmode=off", "psql postgres://***@db:5432/x?sslmode=off"},
		{"x redis://:" + secret + "@h", "x redis://***@h"},
		{"x https://u:pa/ss@" + secret + "@host/", "x https://***@host/"},
		{"x https://u:p/" + secret + "@host/y", "x https://***@host/y"},
		{"x mongodb+srv://u:" + secret + "@a,b/", "x mongodb+srv://***@a,b/"},
		{"git clone ssh://git@host/x git@host:x", "git clone ssh://git@host/x git@host:x"},
		{"x http://host:80/@x http://[::1]:80/ http://h/a@b", "x http://host:80/@x http://[::1]:80/ http://h/a@b"},
		{"x https://h/?a=1&access_token=" + secret + "&b=2", "x https://h/?a=1&access_token=***&b=2"},
		{"x https://h/c?sv=1&sig=" + secret, "x https://h/c?sv=1&sig=***"},
		{"x --index=https://u:" + secret + "@h/simple", "x --index=https://***@h/simple"},
		// options
		{"x --password " + secret + " y", "x --password *** y"},
		{"x --password=" + secret, "x --password=***"},
		{"x --db-passwd " + secret, "x --db-passwd ***"},
		{"x -password " + secret, "x -password ***"},
		{"x --api-key=" + secret + " --apiKey " + secret, "x --api-key=*** --apiKey ***"},
		{"x --token " + secret + " --hf_token=" + secret, "x --token *** --hf_token=***"},
		{"x --client-secret " + secret, "x --client-secret ***"},
		{"gpg --passphrase " + secret, "gpg --passphrase ***"},
		{"java -Ddb.password=" + secret + " -jar x", "java -Ddb.password=*** -jar x"},
		{"keytool -storepass " + secret, "keytool -storepass ***"},
		{"x --password-file f --token-ttl 5 --max-tokens 5 --no-password y --tokenizer z", "x --password-file f --token-ttl 5 --max-tokens 5 --no-password y --tokenizer z"},
		{"sort --key 2 --pass-through-x 1", "sort --key 2 --pass-through-x 1"},
		// variables and fields
		{"env PGPASSWORD=" + secret + " psql", "env PGPASSWORD=*** psql"},
		{"env AWS_SECRET_ACCESS_KEY=" + secret + " A=b", "env AWS_SECRET_ACCESS_KEY=*** A=b"},
		{"x GITHUB_TOKEN=" + secret, "x GITHUB_TOKEN=***"},
		{"x AccountKey=" + secret, "x AccountKey=***"},
		// programs
		{"curl -u bob:" + secret + " h", "curl -u *** h"},
		{"curl -ubob:" + secret + " h", "curl -u*** h"},
		{"curl -sSu bob:" + secret + " h", "curl -sSu *** h"},
		{"sudo -u bob mysql -p" + secret + " -u bob db", "sudo -u bob mysql -p*** -u bob db"},
		{"mysql -p db", "mysql -p db"},
		{"sshpass -p " + secret + " ssh h", "sshpass -p *** ssh h"},
		{"docker run -p 80:80 x", "docker run -p 80:80 x"},
		{"docker login -u bob -p " + secret, "docker login -u bob -p ***"},
		{"redis-cli -a " + secret, "redis-cli -a ***"},
		{"ipmitool -H h -P " + secret, "ipmitool -H h -P ***"},
		{"7z x -p" + secret, "7z x -p***"},
		{"openssl enc -k " + secret, "openssl enc -k ***"},
		{"make -p -k -j8", "make -p -k -j8"},
		{"ps -u root", "ps -u root"},
		// by their form
		{"x ghp_0123456789abcdefghij0123456789", "x ***"},
		{"x t=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.x", "x t=***"},
		{"x plain -c 5 a=b file.txt ./run_token.py 12:30 C:\\x k8s.io/x", "x plain -c 5 a=b file.txt ./run_token.py 12:30 C:\\x k8s.io/x"},
	} {
		got := cmdline.Mask(strings.Fields(c.in))
		if s := strings.Join(got, " "); s != c.want || strings.Contains(s, secret) {
			t.Errorf("%s\n got %s\nwant %s", c.in, s, c.want)
		}
	}
	for _, c := range []struct {
		in, want []string
	}{
		{[]string{"curl", "-H", "Authorization: Bearer " + secret}, []string{"curl", "-H", "Authorization: ***"}},
		{[]string{"curl", "-H", "X-Api-Key: " + secret, "u"}, []string{"curl", "-H", "X-Api-Key: ***", "u"}},
		{[]string{"curl", "-HCookie: a=b; c=" + secret}, []string{"curl", "-HCookie: ***"}},
		{[]string{"curl", "-d", `{"user":"a","password": "` + secret + `","n":1}`}, []string{"curl", "-d", `{"user":"a","password": "***","n":1}`}},
		{[]string{"env", "PGPASSWORD=a b " + secret}, []string{"env", "PGPASSWORD=***"}},
		{[]string{"x", "--password=a b " + secret}, []string{"x", "--password=***"}},
		{[]string{"psql", "host=h password=" + secret + " user=u"}, []string{"psql", "host=h password=*** user=u"}},
		{[]string{"x", "Server=h;Pwd=" + secret + ";"}, []string{"x", "Server=h;Pwd=***"}},
		{[]string{"sh", "-c", "mysql -p'my " + secret + "' db && curl -u a:" + secret + " h"}, []string{"sh", "-c", "mysql -p*** db && curl -u *** h"}},
		{[]string{"sh", "-c", "x --token " + secret + "\nPASSWORD='" + secret + "' y --b \"--c d\""}, []string{"sh", "-c", "x --token ***\nPASSWORD='***' y --b \"--c d\""}},
		{[]string{"sh", "-c", `echo "{\"token\": \"` + secret + `\"}" | x`}, []string{"sh", "-c", `echo "{\"token\": \"***"}" | x`}},
		{[]string{"sh", "-c", "export A=b; exec x"}, []string{"sh", "-c", "export A=b; exec x"}},
		{[]string{"docker", "run", "-v", "/run/secrets:/run/secrets", "x"}, []string{"docker", "run", "-v", "/run/secrets:/run/secrets", "x"}},
		{[]string{"x", "--password"}, []string{"x", "--password"}},
		{[]string{"x", ""}, []string{"x", ""}},
		{nil, nil},
	} {
		before := slices.Clone(c.in)
		got := cmdline.Mask(c.in)
		if !slices.Equal(got, c.want) || strings.Contains(strings.Join(got, " "), secret) {
			t.Errorf("%q\n got %q\nwant %q", c.in, got, c.want)
		}
		if !slices.Equal(c.in, before) {
			t.Errorf("%q was changed to %q", before, c.in)
		}
	}
	for in, want := range map[string]string{
		"./x: no such file: https://u:" + secret + "@h": "./x: no such file: https://***@h",
		"http://jenkins:8080/":                          "http://jenkins:8080/",
	} {
		if got := cmdline.Text(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

// randomWord returns any bytes but zeros, which no argument can have.
func randomWord() string {
	const often = "'\"\\$ -=:@a\n\x1b\x9b\xff"
	b := make([]byte, rand.IntN(12))
	for i := range b {
		if b[i] = byte(1 + rand.IntN(255)); rand.IntN(2) == 0 {
			b[i] = often[rand.IntN(len(often))]
		}
	}
	return string(b)
}

// TestLine writes random bytes as a line. Split and a shell make the same arguments of it.
func TestLine(t *testing.T) {
	shell, err := exec.LookPath("bash")
	for n := range 2000 {
		argv := make([]string, 1+rand.IntN(4))
		for i := range argv {
			argv[i] = randomWord()
		}
		line := cmdline.Line(argv)
		if got, err := cmdline.Split(line); err != nil || !slices.Equal(got, argv) {
			t.Fatalf("%q is %s, and back %q, %v", argv, line, got, err)
		}
		if err != nil || n%100 > 0 {
			continue
		}
		c := exec.CommandContext(t.Context(), shell, "-c", `printf '%s\0' `+line)
		c.Env = []string{"LC_ALL=C.UTF-8"}
		out, err := c.Output()
		if want := strings.Join(argv, "\x00") + "\x00"; err != nil || string(out) != want {
			t.Fatalf("%q is %s, and in a shell %q, %v", argv, line, out, err)
		}
	}
	for _, line := range []string{"'a", "$'a", `$'\q'`} {
		if got, err := cmdline.Split(line); err == nil {
			t.Errorf("%s is %q", line, got)
		}
	}
}

// FuzzMask checks that masking ends, is the same when repeated, and hides the password of a URL beside any text.
func FuzzMask(f *testing.F) {
	f.Add("--password", "x y", "a:b@c")
	f.Add(`{"token":"`, `\"`, "=")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		got := cmdline.Mask([]string{"x", a, b, c, "https://u:" + secret + "@h/"})
		if len(got) != 5 || strings.Contains(strings.Join(got, " "), secret) {
			t.Errorf("%q", got)
		}
		if again := cmdline.Mask(got); strings.Contains(strings.Join(again, " "), secret) {
			t.Errorf("%q", again)
		}
		if text := cmdline.Text(a + " https://u:" + secret + "@h/ " + b); strings.Contains(text, secret) {
			t.Errorf("%q", text)
		}
	})
}

// TestMaskIsLinear masks the longest arguments that Linux takes, made to be slow. A quadratic rule takes minutes.
func TestMaskIsLinear(t *testing.T) {
	for _, part := range []string{"hf_", "eyJ", "://", "a:b@", "password=", `password="`, "token:'", "-p ", "--token ", "Bearer ", "\\\"", "aB"} {
		argv := []string{"curl"}
		for range 16 {
			argv = append(argv, strings.Repeat(part, 128<<10/len(part)))
		}
		began := time.Now()
		cmdline.Mask(argv)
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("2 MiB of %q take %v", part, took)
		}
		t.Logf("%q: %v", part, time.Since(began))
	}
}

func BenchmarkMask(b *testing.B) {
	for name, argv := range map[string][]string{
		"true": {"true"}, "make": {"make", "-j8", "V=1", "all"},
		"script": {"sh", "-c", "for i in 1 2 3; do ./train.sh --lr 0.1 --data /data/$i --token x; done"},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				cmdline.Mask(argv)
			}
		})
	}
}
