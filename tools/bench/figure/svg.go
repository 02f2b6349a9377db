package figure

import (
	"fmt"
	"html"
	"io"
	"slices"
	"strings"
)

// The measures of a plot, in pixels.
const (
	plotWidth = 900
	labelRoom = 330
	valueRoom = 80
	barHeight = 14
	barStep   = 20
	headRoom  = 96 // title, two lines of legend, names of what was varied
	footRoom  = 50 // numbers and name of the axis
)

// hues are told apart by people who see few colours, too.
var hues = []string{"#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#999999"}

// SVG draws a figure of every row that has it: its median as a bar, from its
// lowest to its highest sample as a line, and a line at goal where that is above
// 0. Rows have one colour where what was varied first is the same.
func (t Table) SVG(w io.Writer, name string, goal float64) error {
	p := drawing{goal: goal}
	values := []float64{goal}
	for _, r := range t.Rows {
		if f, ok := r.Figure(name); ok && len(f.Samples) > 0 {
			p.rows, p.figures = append(p.rows, r), append(p.figures, f)
			values = append(values, f.Samples...)
		}
	}
	if len(p.rows) == 0 || slices.Max(values) <= 0 {
		return fmt.Errorf("draw %s: no row has a figure %q above 0", t.Name, name)
	}
	p.scale = newScale(values, plotWidth-labelRoom-valueRoom)
	p.bottom = headRoom + barStep*len(p.rows)
	p.head(t.Name, name)
	p.axis(name)
	for i := range p.rows {
		p.bar(i)
	}
	p.limit()
	p.text.WriteString("</svg>\n")
	_, err := io.WriteString(w, p.text.String())
	return err
}

// drawing is a plot as it is written.
type drawing struct {
	rows    []Row
	figures []Figure
	scale   scale
	goal    float64
	bottom  int
	text    strings.Builder
}

func (p *drawing) add(format string, args ...any) { fmt.Fprintf(&p.text, format+"\n", args...) }

// at is where a value is, in pixels from the left.
func (p *drawing) at(v float64) float64 { return labelRoom + p.scale.place(v) }

// groups are what was varied first, each once.
func (p *drawing) groups() (names []string) {
	for _, r := range p.rows {
		if name := r.group(); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

func (r Row) group() string {
	if len(r.Varied) == 0 {
		return ""
	}
	return fmt.Sprint(r.Varied[0].Value)
}

func (p *drawing) hue(group string) string { return hues[slices.Index(p.groups(), group)%len(hues)] }

// head writes the title, the legend and above the labels what they say.
func (p *drawing) head(table, name string) {
	p.add(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">`, plotWidth, p.bottom+footRoom)
	p.add(`<rect width="100%%" height="100%%" fill="white"/>`)
	p.add(`<text x="10" y="22" font-size="15">%s: %s</text>`, html.EscapeString(table), html.EscapeString(name))
	x := 10
	for _, g := range p.groups() {
		p.add(`<rect x="%d" y="33" width="12" height="12" fill="%s"/>`, x, p.hue(g))
		p.add(`<text x="%d" y="44">%s</text>`, x+17, html.EscapeString(g))
		x += 30 + 7*len(g)
	}
	p.add(`<text x="10" y="64" fill="#555">bar: median of %d; line: lowest to highest%s%s</text>`, len(p.figures[0].Samples), p.goalText(), p.scale.text())
	var names []string
	for _, c := range p.rows[0].Varied {
		names = append(names, c.Name)
	}
	p.add(`<text x="10" y="%d" fill="#555">%s:</text>`, headRoom-10, html.EscapeString(strings.Join(names, ", ")))
}

func (p *drawing) goalText() string {
	if p.goal <= 0 {
		return ""
	}
	return "; dashes: the goal, " + number(p.goal)
}

// axis writes a line at each round number, and what it is of.
func (p *drawing) axis(name string) {
	for _, v := range p.scale.ticks() {
		p.add(`<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#ddd"/>`, p.at(v), headRoom-3, p.at(v), p.bottom)
		p.add(`<text x="%.1f" y="%d" text-anchor="middle">%s</text>`, p.at(v), p.bottom+16, round(v))
	}
	unit := p.figures[0].Unit
	if unit != "" {
		unit = " [" + unit + "]"
	}
	p.add(`<text x="%d" y="%d" text-anchor="middle">%s%s</text>`, labelRoom+(plotWidth-labelRoom-valueRoom)/2, p.bottom+36, html.EscapeString(name), html.EscapeString(unit))
}

func (p *drawing) bar(i int) {
	r, f, y := p.rows[i], p.figures[i], headRoom+barStep*i
	middle, end := y+barHeight/2, p.at(f.Median())
	low, high := p.at(slices.Min(f.Samples)), p.at(slices.Max(f.Samples))
	p.add(`<text x="%d" y="%d" text-anchor="end">%s</text>`, labelRoom-8, y+barHeight-3, html.EscapeString(r.Label()))
	p.add(`<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`, labelRoom, y, end-labelRoom, barHeight, p.hue(r.group()))
	if len(f.Samples) > 1 {
		p.add(`<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="black"/>`, low, middle, high, middle)
	}
	p.add(`<text x="%.1f" y="%d">%s</text>`, max(end, high)+6, y+barHeight-3, number(f.Median()))
}

func (p *drawing) limit() {
	if p.goal > 0 {
		p.add(`<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#b03030" stroke-width="1.5" stroke-dasharray="4 3"/>`, p.at(p.goal), headRoom-3, p.at(p.goal), p.bottom)
	}
}
