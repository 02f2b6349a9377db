package steering

import (
	"fmt"
	"strings"

	"sluice/loader"
)

// ask has the program tell what it would do with a packet, one sentence for
// each decision.
func (t *Table) ask(m *model, p loader.Probe) []string {
	trace, err := t.dp.Trace(p)
	if err != nil {
		return []string{fmt.Sprintf("it could not be asked: %v", err)}
	}
	var list []string
	for _, s := range trace.Steps {
		list = append(list, m.tell(s))
	}
	if len(list) > 0 {
		list = append(list, "verdict "+trace.Verdict)
	}
	return list
}

// tell words one decision.
func (m *model) tell(s loader.Step) string {
	switch s.Stage {
	case loader.StageService:
		service := m.services[loader.ServiceID(s.Value)]
		return fmt.Sprintf("%v is service %q", service.record.Listen, service.name)
	case loader.StageEntry:
		return fmt.Sprintf("the client falls on ring entry %d", s.Value)
	case loader.StageWord:
		return "the entry names " + m.named(loader.WordMember(s.Value)) + marked(s.Value)
	case loader.StageShort:
		return "that is beyond doubt: the flow table is not asked"
	case loader.StageFlow:
		return "the flow table has it: " + stateName(loader.FlowState(s.Value))
	case loader.StageEmbryo:
		return "it is part of a handshake with " + m.named(loader.MemberID(s.Value))
	case loader.StageCompletes:
		return "and completes it"
	case loader.StageUnknown:
		return "neither a flow nor a handshake is known"
	case loader.StageSYN:
		return "a connection begins with " + m.named(loader.MemberID(s.Value))
	case loader.StageMember:
		return "it goes to " + m.named(loader.MemberID(s.Value))
	case loader.StageNextHop:
		return fmt.Sprintf("by next hop %d", s.Value)
	case loader.StageEncapsulated:
		return fmt.Sprintf("inside an outer header of %d bytes", s.Value)
	case loader.StageDrop:
		return "it is dropped: " + s.Reason
	case loader.StageReset:
		return "and answered by a reset"
	case loader.StageSocket:
		return "a connection of this node has it, which wins"
	case loader.StagePassed:
		return "and is passed up to the listener here"
	default:
		return fmt.Sprintf("stage %d says %d", s.Stage, s.Value)
	}
}

// named is a member for people.
func (m *model) named(id loader.MemberID) string {
	if id == 0 {
		return "nobody"
	}
	mem, ok := m.members[id]
	if !ok {
		return fmt.Sprintf("member %d, which has left", id)
	}
	return fmt.Sprintf("%s (%v)", m.backends[mem.record.Addr].name, mem.record.Addr)
}

// marked lists the marks of a ring word.
func marked(word uint32) string {
	marks := loader.WordMarks(word)
	if len(marks) == 0 {
		return ""
	}
	return ", marked " + strings.Join(marks, " and ")
}
