package figure

import (
	"fmt"
	"html"
	"io"
	"strings"
)

// The measures of a plot, in pixels.
const (
	plotWidth = 860
	labelRoom = 330
	valueRoom = 70
	barHeight = 16
	barStep   = 22
	headRoom  = 40
)

// SVG draws a figure of every row that has it as a bar, with a line at goal
// where that is above 0.
func (t Table) SVG(w io.Writer, name string, goal float64) error {
	var rows []Row
	top := goal
	for _, r := range t.Rows {
		if f, ok := r.Figure(name); ok {
			rows = append(rows, r)
			top = max(top, f.Median())
		}
	}
	if len(rows) == 0 || top <= 0 {
		return fmt.Errorf("draw %s: no row has a figure %q above 0", t.Name, name)
	}
	scale := float64(plotWidth-labelRoom-valueRoom) / top
	height := headRoom + barStep*len(rows) + barStep
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">`+"\n", plotWidth, height)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="white"/>`+"\n")
	fmt.Fprintf(&b, `<text x="10" y="22" font-size="15">%s: %s, median</text>`+"\n", html.EscapeString(t.Name), html.EscapeString(name))
	for i, r := range rows {
		f, _ := r.Figure(name)
		y, length := headRoom+barStep*i, f.Median()*scale
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", labelRoom-8, y+barHeight-4, html.EscapeString(r.Label()))
		fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="#4878a8"/>`+"\n", labelRoom, y, length, barHeight)
		fmt.Fprintf(&b, `<text x="%.1f" y="%d">%s</text>`+"\n", labelRoom+length+6, y+barHeight-4, number(f.Median()))
	}
	if goal > 0 {
		x := labelRoom + goal*scale
		fmt.Fprintf(&b, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#b03030" stroke-dasharray="4 3"/>`+"\n", x, headRoom-6, x, headRoom+barStep*len(rows))
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}
