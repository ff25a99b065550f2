package readers

import (
	"archive/zip"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// spark is Apache Spark, as its package for Python brings it.
func spark() reader {
	const session = "import pyspark.sql\nspark = pyspark.sql.SparkSession.builder.getOrCreate()"
	const all = `spark.read.option("pathGlobFilter", "metrics.parquet").parquet("ergon-results")`
	return reader{
		Name: "Spark", Module: "pyspark", Setup: session,
		One:   `spark.read.parquet("RUN/metrics.parquet")`,
		All:   all,
		Typed: `spark.conf.set("spark.sql.sources.partitionColumnTypeInference.enabled", False)` + "\n" + all,
		Joined: `spark.conf.set("spark.sql.sources.partitionColumnTypeInference.enabled", False)` + "\n" +
			`spark.read.option("mergeSchema", True).parquet("ergon-results/_tables/metrics")`,
		SkipsHidden: true,
		Types:       [3]string{"string", "string", "string"},
	}
}

// TestSpark is TestReaders for Spark, which is large. `make engines` installs it and sets the variable.
func TestSpark(t *testing.T) {
	interpreter := os.Getenv("ERGON_TEST_SPARK")
	if interpreter == "" {
		t.Skip("make engines runs it")
	}
	// The files are small, so that a thorough compiler and tasks for listing them take longer than they save.
	java := "-XX:TieredStopAtLevel=1"
	if dir := snappy(t, interpreter); dir != "" {
		java += " -Dorg.xerial.snappy.lib.path=" + dir + " -Dorg.xerial.snappy.lib.name=libsnappyjava.so"
	}
	t.Setenv("PYSPARK_SUBMIT_ARGS", "--conf spark.ui.enabled=false --conf spark.sql.shuffle.partitions=2 --conf spark.driver.host=127.0.0.1"+
		" --conf spark.log.level=ERROR --conf spark.sql.sources.parallelPartitionDiscovery.threshold=1000"+
		" --driver-java-options '"+java+"' pyspark-shell")
	t.Setenv("SPARK_LOCAL_IP", "127.0.0.1")
	t.Setenv("LC_ALL", "C.UTF-8") // Java takes the encoding of file names from it
	checkReaders(t, interpreter, []reader{spark()}, newDataset(t, many))
}

// snappy returns a folder with the library for glibc from the file of snappy-java. Where musl is installed beside glibc,
// snappy-java loads its library for musl, which fails. It returns "" elsewhere.
func snappy(t *testing.T, interpreter string) string {
	t.Helper()
	if _, err := os.Stat("/lib/ld-musl-x86_64.so.1"); err != nil || runtime.GOARCH != "amd64" {
		return ""
	}
	found, err := filepath.Glob(filepath.Join(filepath.Dir(interpreter), "../lib/python*/site-packages/pyspark/jars/snappy-java-*.jar"))
	if err != nil || len(found) != 1 {
		t.Fatalf("%v: %v", found, err)
	}
	jar, err := zip.OpenReader(found[0])
	if err != nil {
		t.Fatal(err)
	}
	defer jar.Close()
	library, err := jar.Open("org/xerial/snappy/native/Linux/x86_64/libsnappyjava.so")
	if err != nil {
		t.Fatal(err)
	}
	defer library.Close()
	text, err := io.ReadAll(library)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "libsnappyjava.so"), text, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}
