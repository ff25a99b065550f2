package main

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// shells lists the shells with completion, and the name that the script has as a file.
func shells() map[string]string {
	return map[string]string{"bash": "ergon.bash", "zsh": "_ergon", "fish": "ergon.fish"}
}

// complete puts everything beside the program that an archive has: licences, documents, and on Unix man pages and completion.
func (d *dist) complete(t target, built []target) error {
	dir := filepath.Dir(d.file(t))
	for _, name := range []string{"LICENSE", "NOTICES.md", "README.md", "CHANGELOG.md"} {
		if err := copyFile(filepath.Join(dir, name), name); err != nil {
			return err
		}
	}
	if t.goos == "windows" {
		return nil
	}
	native := built[slices.IndexFunc(built, target.native)]
	for shell, name := range shells() {
		script, err := d.ask(native, "completion", shell)
		if err != nil {
			return err
		}
		if err := writeFile(filepath.Join(dir, "completion", name), []byte(script)); err != nil {
			return err
		}
	}
	pages := filepath.Join(d.work, "pages")
	if _, err := d.ask(native, "help", "--man", pages); err != nil {
		return err
	}
	all, err := names(pages)
	for _, page := range all {
		err = errors.Join(err, copyFile(filepath.Join(dir, "man", "man"+filepath.Ext(page)[1:], page), filepath.Join(pages, page)))
	}
	return err
}

// archive packs the folder of a target: as .zip for Windows, else as .tar.gz. Everything is in one folder, named as the archive.
func (d *dist) archive(t target) error {
	name := "ergon_" + d.version + "_" + t.String()
	pack, file := packTar, name+".tar.gz"
	if t.goos == "windows" {
		pack, file = packZip, name+".zip"
	}
	d.made = append(d.made, file)
	f, err := os.Create(filepath.Join(d.out, file))
	if err != nil {
		return err
	}
	err = pack(f, os.DirFS(filepath.Dir(d.file(t))), name, d.date)
	return errors.Join(err, f.Close())
}

// packTar writes the files of a tree, in order of their names. They belong to root, and have one date.
func packTar(w io.Writer, tree fs.FS, top string, date time.Time) error {
	compressed, err := gzip.NewWriterLevel(w, gzip.BestCompression)
	if err != nil {
		return err
	}
	packed := tar.NewWriter(compressed)
	err = fs.WalkDir(tree, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		header := &tar.Header{Name: top + "/" + path, Mode: int64(mode(info)), Size: info.Size(), ModTime: date, Typeflag: tar.TypeReg}
		if entry.IsDir() {
			header.Name, header.Size, header.Typeflag = top+"/"+path+"/", 0, tar.TypeDir
			if path == "." {
				header.Name = top + "/"
			}
			return packed.WriteHeader(header)
		}
		if err := packed.WriteHeader(header); err != nil {
			return err
		}
		return copyTo(packed, tree, path)
	})
	return errors.Join(err, packed.Close(), compressed.Close())
}

// packZip is packTar for Windows.
func packZip(w io.Writer, tree fs.FS, top string, date time.Time) error {
	packed := zip.NewWriter(w)
	err := fs.WalkDir(tree, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		header := &zip.FileHeader{Name: top + "/" + path, Method: zip.Deflate, Modified: date}
		header.SetMode(mode(info))
		f, err := packed.CreateHeader(header)
		if err != nil {
			return err
		}
		return copyTo(f, tree, path)
	})
	return errors.Join(err, packed.Close())
}

// mode is 0755 for folders and programs, else 0644, whatever the umask.
func mode(info fs.FileInfo) fs.FileMode {
	if info.IsDir() || info.Mode()&0o100 != 0 {
		return 0o755
	}
	return 0o644
}

func copyTo(w io.Writer, tree fs.FS, path string) error {
	f, err := tree.Open(path)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, f)
	return errors.Join(err, f.Close())
}

// copyFile copies a file into a folder, which it makes.
func copyFile(to, from string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return writeFile(to, content)
}

// writeFile writes a file into a folder, which it makes.
func writeFile(to string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, content, 0o644)
}
