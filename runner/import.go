package runner

import (
	"errors"
	"os"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/account"
	"github.com/ergon-energy/ergon/datamodel/perun"
	"github.com/ergon-energy/ergon/datamodel/store"
)

// Import makes the result of a run of perun, and keeps it below results in the folder dir. If a run has its id, the error
// wraps os.ErrExist, and dir is that run's.
func Import(results string, in perun.Run, a store.Access) (dir string, err error) {
	switch dir, err := store.FindID(results, in.Run.ID); {
	case err != nil:
		return "", err
	case dir != "":
		return dir, os.ErrExist
	}
	folder, err := store.NewRun(results, in.Run.Project, in.Run.Start, in.Run.ID, a)
	if err != nil {
		return "", err
	}
	defer func() { _ = folder.Close() }() // what was written is synced
	run := in.Run
	files := folder.Files()
	defer files.Drop()
	made, err := imported(&run, in, files)
	if err == nil {
		err = errors.Join(save(files, run, made), files.SaveManifest(run))
	}
	if err != nil {
		err = errors.Join(err, folder.Discard()) // perun's file is still there
	}
	return folder.Path(), err
}

// imported makes the result of the readings, and adds samples.parquet to the files.
func imported(run *datamodel.Run, in perun.Run, files *store.Files) (account.Result, error) {
	var rows []store.Rows
	for _, h := range in.Hosts {
		rows = append(rows, h.Rows...)
	}
	conversion, err := files.Begin(nil, rows...)
	if err != nil {
		return account.Result{}, err
	}
	folds := map[string]*fold{}
	for _, h := range in.Hosts {
		folds[h.Machine.Name] = &fold{step: conversion.Interval()}
	}
	conversion.Read(func(h store.SpoolHeader, sensor int, at []time.Duration, values []float64) {
		folds[h.Host].observe(h, sensor, at, values)
	})
	input := account.Input{Run: *run}
	for _, h := range in.Hosts {
		input.Hosts = append(input.Hosts, account.Host{
			Machine: h.Machine, Ledger: h.Ledger, Series: folds[h.Machine.Name].series, Missing: h.Missing,
		})
	}
	made := account.Account(input)
	run.Warnings = append(run.Warnings, made.Warnings...)
	run.Missing = append(run.Missing, made.Missing...)
	run.Spark, run.Summary = made.Spark, datamodel.Figures(made.Summary)
	if n := made.Tree.First(datamodel.RunLevel); n != nil {
		n.Meta = append(n.Meta, in.Meta...)
	}
	_, err = conversion.Close()
	return made, err
}
