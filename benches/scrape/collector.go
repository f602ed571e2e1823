// The rival that most exporters are: a collector of Go's client_golang that makes a constant metric of every series at
// each scrape, behind the handler that everybody uses.
//
// It serves the series of a page that an exporter has served: collector PAGE ADDRESS. Ages go on growing from the moment
// at which it was started.
package main

import (
	"log"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

type series struct {
	labels  []string
	value   float64
	buckets map[float64]uint64
	count   uint64
}

type family struct {
	kind   dto.MetricType
	isAge  bool
	desc   *prometheus.Desc
	series []series
}

type collector struct {
	families []family
	start    time.Time
}

func (c *collector) Describe(descriptions chan<- *prometheus.Desc) {
	for _, family := range c.families {
		descriptions <- family.desc
	}
}

func (c *collector) Collect(metrics chan<- prometheus.Metric) {
	elapsed := time.Since(c.start).Truncate(time.Second).Seconds()
	for _, family := range c.families {
		for _, series := range family.series {
			value := series.value
			if family.isAge {
				value += elapsed
			}
			switch family.kind {
			case dto.MetricType_HISTOGRAM:
				metrics <- prometheus.MustNewConstHistogram(family.desc, series.count, value, series.buckets, series.labels...)
			case dto.MetricType_COUNTER:
				metrics <- prometheus.MustNewConstMetric(family.desc, prometheus.CounterValue, value, series.labels...)
			default:
				metrics <- prometheus.MustNewConstMetric(family.desc, prometheus.GaugeValue, value, series.labels...)
			}
		}
	}
}

// read makes constant families of a page. All series of a family have the same labels.
func read(path string) (*collector, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var parser expfmt.TextParser
	parsed, err := parser.TextToMetricFamilies(file)
	if err != nil {
		return nil, err
	}
	all := &collector{start: time.Now()}
	for name, metrics := range parsed {
		family := family{kind: metrics.GetType(), isAge: strings.HasSuffix(name, "_age_seconds")}
		var names []string
		for _, label := range metrics.Metric[0].Label {
			names = append(names, label.GetName())
		}
		family.desc = prometheus.NewDesc(name, metrics.GetHelp(), names, nil)
		for _, metric := range metrics.Metric {
			one := series{}
			for _, label := range metric.Label {
				one.labels = append(one.labels, label.GetValue())
			}
			switch family.kind {
			case dto.MetricType_HISTOGRAM:
				one.value, one.count = metric.Histogram.GetSampleSum(), metric.Histogram.GetSampleCount()
				one.buckets = map[float64]uint64{}
				for _, bucket := range metric.Histogram.Bucket {
					one.buckets[bucket.GetUpperBound()] = bucket.GetCumulativeCount()
				}
			case dto.MetricType_COUNTER:
				one.value = metric.Counter.GetValue()
			default:
				one.value = metric.Gauge.GetValue()
			}
			family.series = append(family.series, one)
		}
		all.families = append(all.families, family)
	}
	return all, nil
}

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: collector PAGE ADDRESS")
	}
	collector, err := read(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector)
	http.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	log.Fatal(http.ListenAndServe(os.Args[2], nil))
}
