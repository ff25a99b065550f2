package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/ergon-energy/ergon/datamodel/history"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/report"
)

// TagOptions are the options of `ergon runs tag`.
type TagOptions struct {
	Results string
	// Move takes the tag from the run that has it.
	Move bool
}

// tagWord is one thing that `ergon runs tag` can do.
type tagWord struct{ name, arguments, usage string }

func tagWords() []tagWord {
	return []tagWord{
		{"add", "RUN NAME", "give a run a tag"},
		{"rm", "[RUN] NAME", "remove a tag; the run stays"},
		{"ls", "", "list the tags"},
	}
}

func (p *program) tagCommand() *subcommand {
	const name = "runs tag"
	o := TagOptions{Results: defaultResults}
	return &subcommand{
		name: name, takes: aTagWord, arguments: "add RUN NAME | rm [RUN] NAME | ls", usage: "give a run a name, remove a name, or list them",
		description: "A tag is a name of one run, as in git. It stands wherever a RUN does, and a run with a tag is never pruned. " + runMeaning,
		example:     "ergon runs tag add last baseline",
		options: table{
			resultsOption(&o.Results),
			{name: "move", scope: once, usage: "with add: take the tag from the run that has it", value: toggle{&o.Move}},
		},
		run: func(_ context.Context, words []string) error {
			switch {
			case len(words) == 0, len(words) == 1 && words[0] == "ls":
				return p.tags(o)
			case words[0] == "add" && len(words) == 3:
				return p.addTag(o, words[1], words[2])
			case words[0] == "rm" && len(words) == 2:
				return p.removeTag(o, "", words[1])
			case words[0] == "rm" && len(words) == 3:
				return p.removeTag(o, words[1], words[2])
			}
			return misused(name, "%s: want add RUN NAME, rm [RUN] NAME or ls, not %q", name, strings.Join(words, " "))
		},
	}
}

// addTag gives a run a tag. The tag is kept in the results folder of the run.
func (p *program) addTag(o TagOptions, run, name string) error {
	h, id, err := p.runAndHistory(o.Results, run)
	if err != nil {
		return err
	}
	if err := h.AddTag(name, id, o.Move, here().owner(h.Results).account()); err != nil {
		return err
	}
	p.err.Linef("ergon: %s is a tag of run %s", name, id)
	return nil
}

// removeTag removes a tag. If a run is named, the tag must be of that run.
func (p *program) removeTag(o TagOptions, run, name string) (err error) {
	h, id := p.history(o.Results), ""
	if run != "" {
		if h, id, err = p.runAndHistory(o.Results, run); err != nil {
			return err
		}
	}
	if err := h.RemoveTag(name, id); err != nil {
		return err
	}
	p.err.Linef("ergon: removed the tag %s; its run stays", name)
	return nil
}

// runAndHistory finds a run, and the results folder that it is in: a run may be named by its folder.
func (p *program) runAndHistory(results, run string) (h history.History, id string, err error) {
	h = p.history(results)
	dir, err := h.Find(run)
	if err != nil {
		return h, "", err
	}
	if !store.InResults(dir) {
		return h, "", fmt.Errorf("run %s: it is not in a results folder, so it can have no tag", shortest(dir))
	}
	h.Results = folderOf(dir)
	return h, store.IDOf(dir), nil
}

// tags lists the tags with their runs.
func (p *program) tags(o TagOptions) error {
	h := p.history(o.Results)
	tags, err := h.Tags()
	if err != nil {
		return err
	}
	if len(tags) == 0 {
		p.err.Linef("ergon: no tags in %s (ergon runs tag add RUN NAME makes one)", o.Results)
		return nil
	}
	entries, err := h.List()
	if err != nil {
		return err
	}
	byID := make(map[string]history.Entry, len(entries))
	for _, e := range entries {
		byID[e.Run.ID] = e
	}
	listed := make([]report.Listed, len(tags))
	for i, t := range tags {
		e, ok := byID[t.ID]
		if !ok {
			e.Run.ID = t.ID
			listed[i].Problem = "its run is not there any more (ergon runs tag rm " + t.Name + ")"
		} else {
			listed[i].Problem = e.Problem()
		}
		listed[i].Run, listed[i].Tags = e.Run, []string{t.Name}
	}
	return report.Tags(p.out.Styled(), listed, reportOptions(p.out.File()))
}
