// Command promql reads what targets exposed, as Prometheus does, and evaluates expressions on it with Prometheus' own
// engine.
//
// It takes one request on standard input and answers on standard output, both JSON:
//
//	{"scrapes": [{"time": 0, "contentType": "text/plain; version=0.0.4", "labels": {"job": "x"}, "text": "…"}],
//	 "queries": ["rate(x_total[5m])"]}
//
// Scrapes are in the order of their times, which are in seconds; queries are evaluated at the last of them. The answer
// has the problems that promlint finds, and for each query its result and what each of its selectors found. A scrape
// that Prometheus would refuse ends it with an error.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"
)

type scrape struct {
	Time        float64           `json:"time"`
	ContentType string            `json:"contentType"`
	Labels      map[string]string `json:"labels"`
	Text        string            `json:"text"`
}

type request struct {
	Scrapes []scrape `json:"scrapes"`
	Queries []string `json:"queries"`
}

type problem struct {
	Metric string `json:"metric"`
	Text   string `json:"text"`
}

type sample struct {
	Labels map[string]string `json:"labels"`
	Value  string            `json:"value"`
}

// selector is one selector of a query: how many series it matched, of which types, and what it is given to.
type selector struct {
	Selector string   `json:"selector"`
	Function string   `json:"function"`
	Series   int      `json:"series"`
	Types    []string `json:"types"`
}

type result struct {
	Query     string     `json:"query"`
	Error     string     `json:"error"`
	Samples   []sample   `json:"samples"`
	Selectors []selector `json:"selectors"`
}

type answer struct {
	Problems []problem `json:"problems"`
	Results  []result  `json:"results"`
}

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	var asked request
	if err := json.NewDecoder(in).Decode(&asked); err != nil {
		return fmt.Errorf("the request is not JSON: %w", err)
	}
	store, told := newStore(), answer{Problems: []problem{}, Results: []result{}}
	for number, each := range asked.Scrapes {
		if err := store.take(each); err != nil {
			return fmt.Errorf("scrape %d: %w", number, err)
		}
		if strings.HasPrefix(each.ContentType, "text/plain") {
			found, err := promlint.New(strings.NewReader(each.Text)).Lint()
			if err != nil {
				return fmt.Errorf("scrape %d: %w", number, err)
			}
			for _, each := range found {
				told.Problems = append(told.Problems, problem{each.Metric, each.Text})
			}
		}
	}
	engine := promql.NewEngine(promql.EngineOpts{
		MaxSamples: 10_000_000, Timeout: time.Minute, LookbackDelta: 5 * time.Minute, EnableAtModifier: true,
	})
	for _, query := range asked.Queries {
		told.Results = append(told.Results, store.evaluate(engine, query))
	}
	return json.NewEncoder(out).Encode(told)
}

// store holds the samples of all scrapes by series.
type store struct {
	series map[string]*promql.Series
	types  map[string]string
	last   int64
}

func newStore() *store {
	return &store{series: map[string]*promql.Series{}, types: map[string]string{}}
}

// take adds the samples of one scrape.
func (s *store) take(from scrape) error {
	parsed, err := textparse.New([]byte(from.Text), from.ContentType, nil, textparse.ParserOptions{})
	if err != nil {
		return err
	}
	s.last = int64(from.Time * 1000)
	for {
		entry, err := parsed.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch entry {
		case textparse.EntryType:
			name, kind := parsed.Type()
			s.types[string(bytes.Clone(name))] = string(kind)
		case textparse.EntrySeries:
			var found labels.Labels
			_, _, value := parsed.Series()
			parsed.Labels(&found)
			s.add(found, from.Labels, value)
		}
	}
}

func (s *store) add(found labels.Labels, target map[string]string, value float64) {
	builder := labels.NewBuilder(found)
	for name, each := range target {
		builder.Set(name, each)
	}
	all := builder.Labels()
	known, ok := s.series[all.String()]
	if !ok {
		known = &promql.Series{Metric: all}
		s.series[all.String()] = known
	}
	known.Floats = append(known.Floats, promql.FPoint{T: s.last, F: value})
}

// Querier implements storage.Queryable; every time is in reach.
func (s *store) Querier(_, _ int64) (storage.Querier, error) {
	return &storage.MockQuerier{
		SelectMockFunction: func(_ bool, _ *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
			return &seriesSet{found: s.matching(matchers), at: -1}
		},
	}, nil
}

func (s *store) matching(matchers []*labels.Matcher) []*promql.Series {
	var found []*promql.Series
	for _, each := range s.series {
		matches := true
		for _, matcher := range matchers {
			matches = matches && matcher.Matches(each.Metric.Get(matcher.Name))
		}
		if matches {
			found = append(found, each)
		}
	}
	sort.Slice(found, func(i, j int) bool { return labels.Compare(found[i].Metric, found[j].Metric) < 0 })
	return found
}

type seriesSet struct {
	found []*promql.Series
	at    int
}

func (s *seriesSet) Next() bool { s.at++; return s.at < len(s.found) }
func (s *seriesSet) At() storage.Series {
	return promql.NewStorageSeries(*s.found[s.at])
}
func (*seriesSet) Err() error                        { return nil }
func (*seriesSet) Warnings() annotations.Annotations { return nil }

func (s *store) evaluate(engine *promql.Engine, query string) result {
	told := result{Query: query, Samples: []sample{}, Selectors: []selector{}}
	expression, err := parser.NewParser(parser.Options{}).ParseExpr(query)
	if err != nil {
		told.Error = err.Error()
		return told
	}
	parser.Inspect(expression, func(node parser.Node, path []parser.Node) error {
		if each, ok := node.(*parser.VectorSelector); ok {
			told.Selectors = append(told.Selectors, s.describe(each, path))
		}
		return nil
	})
	prepared, err := engine.NewInstantQuery(context.Background(), s, nil, query, time.UnixMilli(s.last))
	if err != nil {
		told.Error = err.Error()
		return told
	}
	defer prepared.Close()
	found := prepared.Exec(context.Background())
	if found.Err != nil {
		told.Error = found.Err.Error()
		return told
	}
	for _, each := range vector(found.Value) {
		told.Samples = append(told.Samples, sample{each.Metric.Map(), number(each.F)})
	}
	return told
}

func vector(value parser.Value) promql.Vector {
	switch value := value.(type) {
	case promql.Vector:
		return value
	case promql.Scalar:
		return promql.Vector{promql.Sample{T: value.T, F: value.V}}
	default:
		return nil
	}
}

// number writes what JSON has no numbers for, too.
func number(value float64) string {
	if math.IsNaN(value) {
		return "NaN"
	}
	return strconv.FormatFloat(value, 'g', -1, 64)
}

func (s *store) describe(each *parser.VectorSelector, path []parser.Node) selector {
	told, types := selector{Selector: each.String()}, map[string]bool{}
	for _, series := range s.matching(each.LabelMatchers) {
		told.Series++
		types[s.typeOf(series.Metric.Get(labels.MetricName))] = true
	}
	for kind := range types {
		told.Types = append(told.Types, kind)
	}
	sort.Strings(told.Types)
	for _, node := range path {
		if call, ok := node.(*parser.Call); ok {
			told.Function = call.Func.Name
		}
	}
	return told
}

// typeOf is the type of a sample's family; what a histogram counts is a counter.
func (s *store) typeOf(name string) string {
	for _, suffix := range []string{"_bucket", "_count", "_sum"} {
		if kind := s.types[strings.TrimSuffix(name, suffix)]; strings.HasSuffix(name, suffix) && kind == "histogram" {
			return "counter"
		}
	}
	if kind, ok := s.types[name]; ok {
		return kind
	}
	return s.types[strings.TrimSuffix(name, "_total")]
}
