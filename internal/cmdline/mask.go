// Package cmdline prepares the arguments of a command for what is stored and shown. Mask is the only place that hides
// secrets, and it is called before anything is stored. Line writes arguments as one line that a shell could run.
//
// No rule finds every secret: a program may take one as a plain word. The rules hide what the words around it call a secret,
// passwords in URLs, and tokens of well-known forms. They rather hide too much than too little.
package cmdline

import (
	"path"
	"slices"
	"strings"
	"unicode"
)

// Masked stands in place of a secret.
const Masked = "***"

// Mask returns argv with the secrets replaced by Masked. It does not change argv.
func Mask(argv []string) []string {
	out := slices.Clone(argv)
	var p program
	next := false
	for i, w := range argv {
		switch {
		case next:
			out[i], next = Masked, false
		case p.begin(w) || i == 0:
			out[i] = Text(w)
		default:
			out[i], next = p.word(w)
		}
	}
	return out
}

// word returns an argument of the program without its secrets. next says that the next argument is a secret.
func (p *program) word(w string) (out string, next bool) {
	if option, value, ok := p.secret(w); ok {
		if value == "" {
			return w, true
		}
		return option + Masked, false
	}
	name, value, hasValue := strings.Cut(w, "=")
	switch {
	case hasValue && isIdentifier(name) && secretName(name) && value != "":
		return name + "=" + Masked, false
	case !hasValue && isSecretLong(w):
		return w, true
	}
	return Text(w), false
}

// isSecretLong reports whether a word is an option whose next word is a secret.
func isSecretLong(w string) bool {
	return len(w) > 2 && w[0] == '-' && isIdentifier(w) && secretName(w)
}

// Text returns a text without the secrets in it: an argument, a value of the environment, an error, a script.
func Text(s string) string {
	if !strings.ContainsAny(s, "=:@- ") && !strings.ContainsAny(s, "_.") {
		return s // nearly all words
	}
	s = urls(s)
	s = pairs(s)
	s = tokens(s)
	return script(s)
}

// script hides the secrets after options in a text of several words, such as the script of `sh -c`.
func script(s string) string {
	spans := split(s)
	if len(spans) < 2 {
		return s
	}
	var b strings.Builder
	var p program
	end, next := 0, false
	for i, span := range spans {
		w := s[span[0]:span[1]]
		b.WriteString(s[end:span[0]])
		end = span[1]
		bare := strings.Trim(w, `"'`)
		switch {
		case next:
			w, next = Masked, false
		case p.begin(bare) || i == 0:
		default:
			if option, value, ok := p.secret(w); ok {
				if next = value == ""; !next {
					w = option + Masked
				}
			} else {
				next = isSecretLong(bare)
			}
		}
		b.WriteString(w)
	}
	b.WriteString(s[end:])
	return b.String()
}

// split returns where the words of a text are. Spaces between quotes do not end a word.
func split(s string) (spans [][2]int) {
	start, quote := -1, byte(0)
	for i := range len(s) {
		c := s[i]
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == ' ' || c == '\t' || c == '\n':
			if start >= 0 {
				spans = append(spans, [2]int{start, i})
			}
			start = -1
			continue
		case c == '"' || c == '\'':
			quote = c
		}
		if start < 0 {
			start = i
		}
	}
	if start >= 0 {
		spans = append(spans, [2]int{start, len(s)})
	}
	return spans
}

// options are the short options of a program that take a secret.
type options struct {
	// next takes the secret as the next argument or attached, attached only attached. login says that this holds only for a
	// subcommand login: elsewhere the letter has another meaning.
	next, attached []string
	login          bool
}

// optionsOf returns the short options of a program. Long options are found by their names. found is false if the program
// has none.
func optionsOf(program string) (o options, found bool) {
	switch program {
	case "curl":
		return options{next: []string{"-u", "-U"}}, true
	case "mysql", "mysqldump", "mysqladmin", "mysqlimport", "mysqlshow", "mysqlcheck", "mariadb", "mariadb-dump", "mariadb-admin":
		return options{attached: []string{"-p"}}, true
	case "sshpass", "mongo", "mongosh", "mongodump", "mongorestore", "mongoexport", "mongoimport":
		return options{next: []string{"-p"}}, true
	case "docker", "podman", "nerdctl", "buildah", "skopeo", "helm", "az", "oc":
		return options{next: []string{"-p"}, login: true}, true
	case "redis-cli", "http", "https":
		return options{next: []string{"-a"}}, true
	case "ldapsearch", "ldapmodify", "ldapadd", "ldapdelete", "ldapwhoami":
		return options{next: []string{"-w"}}, true
	case "smbclient", "rpcclient", "smbget":
		return options{next: []string{"-U"}}, true
	case "openssl":
		return options{next: []string{"-pass", "-passin", "-passout", "-k", "-K"}}, true
	case "7z", "7za", "7zr", "rar", "unrar":
		return options{attached: []string{"-p"}}, true
	case "zip", "unzip", "sqlcmd", "bcp", "ipmitool":
		return options{next: []string{"-P"}}, true
	case "snmpget", "snmpwalk", "snmpset", "snmpbulkwalk":
		return options{next: []string{"-A", "-X", "-c"}}, true
	case "xfreerdp":
		return options{attached: []string{"/p:"}}, true
	}
	return options{}, false
}

// program is what is known of the program that the arguments so far belong to.
type program struct {
	options
	loggingIn bool
}

// begin notes that a word may name a program, such as after sudo. It reports whether it does.
func (p *program) begin(word string) bool {
	o, found := optionsOf(path.Base(strings.TrimRight(word, "/")))
	if found {
		*p = program{options: o}
	}
	p.loggingIn = p.loggingIn || word == "login"
	return found
}

// secret splits a short option that takes a secret from the attached secret, which may be "".
func (p *program) secret(w string) (option, value string, ok bool) {
	if len(w) < 2 || w[0] != '-' && w[0] != '/' || strings.HasPrefix(w, "--") || p.login && !p.loggingIn {
		return "", "", false
	}
	for _, o := range p.next {
		switch {
		case w == o:
			return w, "", true
		case len(o) == 2 && strings.HasPrefix(w, o):
			return o, w[2:], true
		case len(o) == 2 && len(w) < 6 && w[len(w)-1] == o[1] && onlyLetters(w[1:]): // letters before it are other options: -su
			return w, "", true
		}
	}
	for _, o := range p.attached {
		if len(w) > len(o) && strings.HasPrefix(w, o) {
			return o, w[len(o):], true
		}
	}
	return "", "", false
}

func onlyLetters(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r > unicode.MaxASCII || !unicode.IsLetter(r) }) < 0
}

// isIdentifier reports whether a text can be the name of an option, a variable or a field.
func isIdentifier(s string) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool { return !isNameByte(r) }) < 0
}

func isNameByte(r rune) bool {
	return r == '_' || r == '-' || r == '.' || r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r))
}

// secretName reports whether the value behind a name is a secret: --db-password, GITHUB_TOKEN, accountKey.
func secretName(name string) bool {
	parts := nameParts(name)
	if len(parts) == 0 {
		return false
	}
	switch parts[0] {
	case "no", "without", "skip", "ask", "max", "min", "num":
		if len(parts) > 1 {
			return false
		}
	}
	last := parts[len(parts)-1]
	switch last {
	// The value is not the secret but says something about it.
	case "file", "path", "dir", "folder", "ttl", "type", "name", "length", "len", "size", "prompt", "stdin", "env", "command", "cmd",
		"helper", "source", "url", "uri", "endpoint", "count", "limit", "policy", "expiry", "expires", "lifetime", "provider", "method",
		"mode", "format", "required", "enabled", "check", "version", "field", "fd":
		return false
	case "pass", "pwd", "pw", "token", "auth", "cookie", "jwt", "sas", "sig", "signature", "pin", "psk", "otp", "totp":
		return true
	}
	whole := strings.Join(parts, "")
	for _, word := range [...]string{
		"password", "passwd", "passphrase", "passcode", "passwort", "secret", "credential", "apikey", "accesskey", "privatekey",
		"signingkey", "encryptionkey", "masterkey", "accountkey", "storagekey", "sharedkey", "authkey", "licensekey", "accesstoken",
		"authtoken", "authorization", "bearer", "storepass", "keypass", "dbpass", "userpass", "rootpass", "proxypass",
	} {
		if strings.Contains(whole, word) {
			return true
		}
	}
	return false
}

// nameParts splits a name at punctuation and before capitals, and makes the parts small.
func nameParts(name string) []string {
	var b strings.Builder
	for i := range len(name) {
		// Both borders of dbPassword and HCookie: before a capital that follows a small letter, or that a small letter follows.
		if i > 0 && isUpper(name[i]) && (isLower(name[i-1]) || i+1 < len(name) && isUpper(name[i-1]) && isLower(name[i+1])) {
			b.WriteByte('_')
		}
		b.WriteString(strings.ToLower(name[i : i+1]))
	}
	return strings.FieldsFunc(b.String(), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
}

func isUpper(c byte) bool { return 'A' <= c && c <= 'Z' }
func isLower(c byte) bool { return 'a' <= c && c <= 'z' }

// urls hides the user's part of URLs: https://user:password@host, postgres://:password@host, https://token@host. The user
// alone stays if the scheme never has a token there: ssh://git@host.
func urls(s string) string {
	var b strings.Builder
	for {
		scheme, rest, found := strings.Cut(s, "://")
		b.WriteString(scheme)
		if !found {
			return b.String()
		}
		b.WriteString("://")
		end := strings.IndexAny(rest, " \t\n\"'`<>")
		if end < 0 {
			end = len(rest)
		}
		b.WriteString(withoutUser(scheme, rest[:end]))
		s = rest[end:]
	}
}

// withoutUser hides the user's part of what follows :// in a URL.
func withoutUser(scheme, rest string) string {
	authority := rest
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		authority = rest[:end]
	}
	at := strings.LastIndexByte(authority, '@')
	if _, port, ok := strings.Cut(authority, ":"); at < 0 && ok && strings.Trim(port, "0123456789") != "" && authority[0] != '[' {
		at = strings.LastIndexByte(rest, '@') // no port follows the colon but a password with a slash in it
	}
	if at < 0 {
		return rest
	}
	user := rest[:at]
	scheme = scheme[strings.LastIndexFunc(scheme, func(r rune) bool { return !isNameByte(r) && r != '+' })+1:]
	if !strings.Contains(user, ":") && (strings.Contains(scheme, "ssh") || slices.Contains([]string{"sftp", "rsync", "scp", "git"}, scheme)) {
		return rest
	}
	if user == "" {
		return rest
	}
	return Masked + rest[at:]
}

// pairs hides the values of fields with secret names: password=x in a text, "token": "x" in JSON, Authorization: Bearer x in
// a header, ?sig=x in a URL.
func pairs(s string) string {
	if !strings.ContainsAny(s, "=:") {
		return s
	}
	var b strings.Builder
	start := -1 // of the name
	done := 0
	for i := 0; i < len(s); i++ {
		if isNameByte(rune(s[i])) {
			if start < 0 {
				start = i
			}
			continue
		}
		name, begin := "", start
		if start >= 0 {
			name = s[start:i]
		}
		start = -1
		if name == "" || !secretName(name) {
			continue
		}
		if at, end, ok := value(s, i, begin); ok {
			b.WriteString(s[done:at])
			b.WriteString(Masked)
			done, i = end, end-1
		}
	}
	b.WriteString(s[done:])
	return b.String()
}

// value finds the value of the field whose name begins at begin and ends at i.
func value(s string, i, begin int) (at, end int, ok bool) {
	quoted := byte(0) // the quote before the name
	if begin > 0 && (s[begin-1] == '"' || s[begin-1] == '\'') {
		quoted = s[begin-1]
	}
	escaped := ""
	if i < len(s) && s[i] == '\\' {
		escaped = `\`
		i++
	}
	if i < len(s) && quoted != 0 && s[i] == quoted {
		i++
	}
	colon := false
	switch {
	case i >= len(s):
		return 0, 0, false
	case s[i] == '=':
		i++
	case s[i] == ':' && (begin == 0 || s[begin-1] != '/'): // not the port of a host, not a folder
		colon = true
		for i++; i < len(s) && s[i] == ' '; i++ {
		}
	default:
		return 0, 0, false
	}
	if escaped != "" {
		i += len(s[i:]) - len(strings.TrimPrefix(s[i:], escaped))
	}
	if i >= len(s) || colon && strings.HasPrefix(s[i:], "//") {
		return 0, 0, false
	}
	if s[i] == '"' || s[i] == '\'' {
		end := i + 1
		for end < len(s) && s[end] != s[i] {
			if s[end] == '\\' && escaped == "" {
				end++
			}
			end++
		}
		return i + 1, min(end, len(s)), true
	}
	stop := " \t\n\"'`&"
	if colon { // a header or a line of YAML
		stop = "\n\r\"'`"
	}
	end = len(s)
	if n := strings.IndexAny(s[i:], stop); n >= 0 {
		end = i + n
	}
	return i, end, end > i
}

// tokens hides what is a secret by its form, wherever it stands: tokens of well-known services, and what follows Bearer.
func tokens(s string) string {
	const bearer = "Bearer "
	for _, prefix := range [...]string{
		"ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "glrt-", "xoxb-", "xoxp-", "xoxa-", "xapp-", "sk-ant-", "sk-proj-",
		"sk_live_", "rk_live_", "hf_", "npm_", "pypi-", "dop_v1_", "AIza", "SG.", "eyJ", "hvs.", "dckr_pat_", bearer,
	} {
		for from := 0; ; {
			at := strings.Index(s[from:], prefix)
			if at < 0 {
				break
			}
			at += from
			from = at + len(prefix)
			if at > 0 && isNameByte(rune(s[at-1])) {
				continue // the middle of a word
			}
			end := from
			for end < len(s) && (isNameByte(rune(s[end])) || strings.IndexByte("+/=", s[end]) >= 0) {
				end++
			}
			if end-from < 16 { // too short for a token
				from = end
				continue
			}
			keep := at
			if prefix == bearer {
				keep = from
			}
			s = s[:keep] + Masked + s[end:]
			from = keep + len(Masked)
		}
	}
	return s
}
