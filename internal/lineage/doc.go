// Package lineage tells whether a process belongs to the measured command. It is for Linux.
package lineage
