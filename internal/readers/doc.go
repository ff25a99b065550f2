// Package readers has no code, only tests: programs that people use read the files of ergon's runs, and find what ergon reports.
package readers
