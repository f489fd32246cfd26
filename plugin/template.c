#include "template.h"

#include <inttypes.h>
#include <stdint.h>
#include <string.h>

#include <jansson.h>

#include <weave/alloc.h>
#include <weave/must.h>

#include "status_render.h"

#define ARGUMENTS_MAX 8

/* X(name, fewest arguments, most arguments) */
#define FUNCTIONS(X)                                                                               \
	X(len, 1, 1)                                                                               \
	X(json, 1, 1)                                                                              \
	X(not, 1, 1)                                                                               \
	X(and, 1, ARGUMENTS_MAX)                                                                   \
	X(or, 1, ARGUMENTS_MAX)                                                                    \
	X(eq, 2, ARGUMENTS_MAX)                                                                    \
	X(ne, 2, 2)                                                                                \
	X(index, 2, ARGUMENTS_MAX)

enum function {
#define X(name, min, max) FUNCTION_##name,
	FUNCTIONS(X)
#undef X
		FUNCTIONS_COUNT
};

static const struct {
	const char *name;
	unsigned min, max;
} functions[] = {
#define X(name, min, max) { #name, (min), (max) },
	FUNCTIONS(X)
#undef X
};

enum expr_kind { EXPR_DOT, EXPR_ROOT, EXPR_LITERAL, EXPR_FIELD, EXPR_CALL };

struct expr {
	struct expr *allocated; /* chain of all, for freeing */
	enum expr_kind kind;
	const char *at;	   /* place in the template, for messages */
	const char *field; /* FIELD: name of 'field_size' bytes, of arguments[0] */
	size_t field_size;
	json_t *literal;
	enum function function;
	struct expr *arguments[ARGUMENTS_MAX];
	unsigned arguments_count;
};

enum node_kind { NODE_TEXT, NODE_OUTPUT, NODE_IF, NODE_WITH, NODE_RANGE };

struct node {
	struct node *allocated, *next; /* next: the one behind it in its block */
	enum node_kind kind;
	const char *text; /* TEXT */
	size_t text_size;
	struct expr *expr;
	struct node *body, *otherwise;
};

struct machine {
	const char *start, *at; /* the template, and how far it is parsed */
	struct expr *exprs;
	struct node *nodes;
	unsigned depth;
	uint32_t steps;
	json_t *root;
	struct text *out;
	struct why *why;
	bool failed;
};

/* --- messages ----------------------------------------------------------------------------- */

static void *fail(struct machine *m, const char *at, const char *what, const char *name,
		  size_t name_size)
{
	unsigned line = 1, column = 1;

	if (m->failed)
		return NULL;
	m->failed = true;
	for (const char *p = m->start; p < at; p++) {
		line += *p == '\n';
		column = *p == '\n' ? 1 : column + 1;
	}
	if (name_size > 60)
		name_size = 60;
	why_set(m->why, WHY_INVALID, "template: line %u, column %u: %s%s%.*s%s", line, column, what,
		name ? " \"" : "", (int)name_size, name ? name : "", name ? "\"" : "");
	return NULL;
}

static void *fail_plain(struct machine *m, const char *at, const char *what)
{
	return fail(m, at, what, NULL, 0);
}

static bool enter(struct machine *m, const char *at)
{
	if (m->depth >= TEMPLATE_DEPTH_MAX) {
		fail_plain(m, at, "nested too deeply");
		return false;
	}
	m->depth++;
	return true;
}

/* --- parsing expressions ------------------------------------------------------------------ */

static struct expr *new_expr(struct machine *m, enum expr_kind kind, const char *at)
{
	struct expr *e = mem_new(1, sizeof *e);

	e->allocated = m->exprs;
	m->exprs = e;
	e->kind = kind;
	e->at = at;
	return e;
}

static bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_';
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void skip_blanks(struct machine *m)
{
	while (is_blank(*m->at))
		m->at++;
}

/* "}}", or " -}}" whose blank is already skipped. */
static bool at_close(const struct machine *m)
{
	return strncmp(m->at, "}}", 2) == 0 || strncmp(m->at, "-}}", 3) == 0;
}

static size_t word_size(const char *p)
{
	size_t size = 0;

	while (is_word(p[size]))
		size++;
	return size;
}

/* The word at the present place, if it is exactly 'word'; then it is skipped. */
static bool take_word(struct machine *m, const char *word)
{
	size_t size = word_size(m->at);

	if (size != strlen(word) || memcmp(m->at, word, size) != 0)
		return false;
	m->at += size;
	return true;
}

static struct expr *literal(struct machine *m, const char *at, json_t *value)
{
	struct expr *e;

	if (!value)
		return fail_plain(m, at, "this text is not UTF-8");
	e = new_expr(m, EXPR_LITERAL, at);
	e->literal = value;
	return e;
}

/* One escaped character, behind the backslash; false when it is not one that we know. */
static bool unescape(char c, char *out)
{
	static const char from[] = "ntr\"\\'", to[] = "\n\t\r\"\\'";
	const char *p = c ? strchr(from, c) : NULL;

	if (p)
		*out = to[p - from];
	return p != NULL;
}

static struct expr *parse_string(struct machine *m)
{
	const char *start = m->at;
	char quote = *m->at++;
	struct text text = { 0 };
	struct expr *e = NULL;

	for (; *m->at && *m->at != quote; m->at++) {
		char c = *m->at;

		if (c == '\\' && quote == '"') {
			m->at++;
			if (!unescape(*m->at, &c)) {
				fail_plain(m, m->at, "unknown escape in a text");
				goto out;
			}
		}
		text_add_bytes(&text, &c, 1);
	}
	if (*m->at != quote) {
		fail_plain(m, start, "the text has no end");
		goto out;
	}
	m->at++;
	e = literal(m, start, json_stringn(text_string(&text), text.size));
out:
	text_fini(&text);
	return e;
}

static struct expr *parse_number(struct machine *m)
{
	const char *start = m->at;
	bool negative = *m->at == '-';
	json_int_t value = 0;

	m->at += negative;
	if (*m->at < '0' || *m->at > '9')
		return fail_plain(m, start, "not a number");
	for (; *m->at >= '0' && *m->at <= '9'; m->at++)
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, *m->at - '0', &value))
			return fail_plain(m, start, "the number is too large");
	if (is_word(*m->at) || *m->at == '.')
		return fail_plain(m, start, "only whole numbers are known");
	return literal(m, start, json_integer(negative ? -value : value));
}

/* ".A.B" behind 'base'; the present place is at the dot. */
static struct expr *parse_fields(struct machine *m, struct expr *base)
{
	unsigned count = 0;

	while (!m->failed && *m->at == '.') {
		struct expr *e = new_expr(m, EXPR_FIELD, m->at);

		m->at++;
		e->field = m->at;
		e->field_size = word_size(m->at);
		e->arguments[0] = base;
		if (e->field_size == 0)
			return fail_plain(m, m->at, "a field's name is missing behind the dot");
		if (++count > TEMPLATE_DEPTH_MAX)
			return fail_plain(m, m->at, "too many fields in a row");
		m->at += e->field_size;
		base = e;
	}
	return m->failed ? NULL : base;
}

static struct expr *parse_pipeline(struct machine *m);

static struct expr *parse_parenthesis(struct machine *m)
{
	const char *start = m->at;
	struct expr *e;

	m->at++;
	if (!enter(m, start))
		return NULL;
	e = parse_pipeline(m);
	m->depth--;
	if (!e)
		return NULL;
	skip_blanks(m);
	if (*m->at != ')')
		return fail_plain(m, start, "the parenthesis is not closed");
	m->at++;
	return parse_fields(m, e);
}

static struct expr *parse_function(struct machine *m);

/* One value: a field, a literal, or something in parentheses. */
static struct expr *parse_operand(struct machine *m)
{
	const char *start = m->at;
	struct expr *e;

	switch (*m->at) {
	case '"':
	case '`':
		return parse_string(m);
	case '(':
		return parse_parenthesis(m);
	case '$':
		m->at++;
		if (is_word(*m->at))
			return fail_plain(m, start, "variables are not known");
		return parse_fields(m, new_expr(m, EXPR_ROOT, start));
	case '.':
		e = new_expr(m, EXPR_DOT, start);
		if (!is_word(m->at[1])) {
			m->at++;
			return *m->at == '.' ? fail_plain(m, start, "two dots") : e;
		}
		return parse_fields(m, e);
	default:
		break;
	}
	if (take_word(m, "true"))
		return literal(m, start, json_true());
	if (take_word(m, "false"))
		return literal(m, start, json_false());
	if (take_word(m, "nil"))
		return literal(m, start, json_null());
	if (*m->at == '-' || (*m->at >= '0' && *m->at <= '9'))
		return parse_number(m);
	if (is_word(*m->at))
		return parse_function(m);
	if (*m->at == '\0')
		return fail_plain(m, start, "the template ends inside {{ }}");
	return fail(m, start, "unexpected", m->at, 1);
}

/* A function without arguments; the caller adds them. */
static struct expr *parse_function(struct machine *m)
{
	const char *start = m->at;
	struct expr *e;

	for (size_t i = 0; i < FUNCTIONS_COUNT; i++) {
		if (!take_word(m, functions[i].name))
			continue;
		e = new_expr(m, EXPR_CALL, start);
		e->function = (enum function)i;
		return e;
	}
	return fail(m, start, "unknown function", start, word_size(start));
}

static bool add_argument(struct machine *m, struct expr *call, struct expr *argument)
{
	if (call->arguments_count == functions[call->function].max) {
		fail(m, argument->at, "too many arguments for", functions[call->function].name,
		     strlen(functions[call->function].name));
		return false;
	}
	call->arguments[call->arguments_count++] = argument;
	return true;
}

/* A value, or a function with its arguments; 'piped' (or NULL) becomes the last of these. */
static struct expr *parse_command(struct machine *m, struct expr *piped)
{
	const char *start = m->at;
	struct expr *e = parse_operand(m);
	bool bare = is_word(*start); /* a function in parentheses already has its arguments */

	if (!e)
		return NULL;
	if (!bare || e->kind != EXPR_CALL)
		return piped ? fail_plain(m, start, "only a function can stand behind |") : e;
	for (;;) {
		struct expr *argument;

		skip_blanks(m);
		if (*m->at == '|' || *m->at == ')' || at_close(m))
			break;
		argument = parse_operand(m);
		if (!argument || !add_argument(m, e, argument))
			return NULL;
		if (argument->kind == EXPR_CALL && argument->arguments_count == 0)
			return fail_plain(m, argument->at,
					  "a function as an argument needs parentheses");
	}
	if (piped && !add_argument(m, e, piped))
		return NULL;
	if (e->arguments_count < functions[e->function].min)
		return fail(m, start, "too few arguments for", functions[e->function].name,
			    strlen(functions[e->function].name));
	return e;
}

static struct expr *parse_pipeline(struct machine *m)
{
	struct expr *e;
	unsigned count = 0;

	skip_blanks(m);
	e = parse_command(m, NULL);
	for (; e; skip_blanks(m)) {
		skip_blanks(m);
		if (*m->at != '|')
			return e;
		if (++count > TEMPLATE_DEPTH_MAX)
			return fail_plain(m, m->at, "too many functions in a row");
		m->at++;
		skip_blanks(m);
		e = parse_command(m, e);
	}
	return NULL;
}

/* --- parsing blocks ----------------------------------------------------------------------- */

/* What ended a block. */
enum ending { ENDING_TEXT, ENDING_END, ENDING_ELSE, ENDING_ELSE_IF };

static struct node *new_node(struct machine *m, enum node_kind kind)
{
	struct node *n = mem_new(1, sizeof *n);

	n->allocated = m->nodes;
	m->nodes = n;
	n->kind = kind;
	return n;
}

/* Skips "}}" or "-}}"; the latter takes the blanks behind it along. */
static bool close_action(struct machine *m)
{
	skip_blanks(m);
	if (!at_close(m)) {
		if (*m->at)
			fail(m, m->at, "expected }} and not", m->at, 1);
		else
			fail_plain(m, m->at, "the template ends inside {{ }}");
		return false;
	}
	if (*m->at == '-') {
		m->at += 3;
		skip_blanks(m);
	} else {
		m->at += 2;
	}
	return true;
}

static struct node *parse_block(struct machine *m, enum ending *ending, const char **ended_at);

/* if, with or range, behind the keyword, up to and with its end. */
static struct node *parse_control(struct machine *m, enum node_kind kind, const char *start)
{
	struct node *n = new_node(m, kind);
	const char *at = start;
	enum ending ending;

	if (!enter(m, start))
		return NULL;
	n->expr = parse_pipeline(m);
	if (!n->expr || !close_action(m))
		return NULL;
	n->body = parse_block(m, &ending, &at);
	if (ending == ENDING_ELSE_IF && !m->failed) {
		if (kind == NODE_RANGE)
			return fail_plain(m, at, "a range has no else if");
		/* The inner "if" takes the one {{end}} along. */
		n->otherwise = parse_control(m, NODE_IF, at);
		ending = ENDING_END;
	} else if (ending == ENDING_ELSE && !m->failed) {
		n->otherwise = parse_block(m, &ending, &at);
	}
	m->depth--;
	if (m->failed)
		return NULL;
	if (ending == ENDING_TEXT)
		return fail_plain(m, start, "this block has no {{end}}");
	if (ending != ENDING_END)
		return fail_plain(m, at, "a second else");
	return n;
}

static struct node *parse_text(struct machine *m)
{
	const char *open = strstr(m->at, "{{");
	struct node *n = new_node(m, NODE_TEXT);

	n->text = m->at;
	n->text_size = open ? (size_t)(open - m->at) : strlen(m->at);
	m->at += n->text_size;
	if (open && open[2] == '-' && is_blank(open[3]))
		while (n->text_size && is_blank(n->text[n->text_size - 1]))
			n->text_size--;
	return n;
}

static bool skip_comment(struct machine *m)
{
	const char *start = m->at, *end;

	if (strncmp(m->at, "/*", 2) != 0)
		return false;
	end = strstr(m->at + 2, "*/");
	if (!end) {
		fail_plain(m, start, "the comment has no end");
		return true;
	}
	m->at = end + 2;
	close_action(m);
	return true;
}

/* Behind "{{": an action.  NULL when it was a comment, ended the block (see 'ending') or failed. */
static struct node *parse_action(struct machine *m, enum ending *ending)
{
	const char *start;
	struct node *n;

	if (*m->at == '-' && is_blank(m->at[1]))
		m->at++;
	skip_blanks(m);
	start = m->at;
	if (skip_comment(m))
		return NULL;
	if (take_word(m, "end")) {
		*ending = ENDING_END;
		close_action(m);
		return NULL;
	}
	if (take_word(m, "else")) {
		skip_blanks(m);
		*ending = take_word(m, "if") ? ENDING_ELSE_IF : ENDING_ELSE;
		if (*ending == ENDING_ELSE)
			close_action(m);
		return NULL;
	}
	if (take_word(m, "if"))
		return parse_control(m, NODE_IF, start);
	if (take_word(m, "with"))
		return parse_control(m, NODE_WITH, start);
	if (take_word(m, "range"))
		return parse_control(m, NODE_RANGE, start);
	n = new_node(m, NODE_OUTPUT);
	n->expr = parse_pipeline(m);
	if (!n->expr || !close_action(m))
		return NULL;
	return n;
}

/* Nodes up to an {{end}} or {{else}}, which is taken too, or up to the end of the template. */
static struct node *parse_block(struct machine *m, enum ending *ending, const char **ended_at)
{
	struct node *first = NULL, **last = &first;

	*ending = ENDING_TEXT;
	while (!m->failed && *ending == ENDING_TEXT && *m->at) {
		struct node *n;

		*ended_at = m->at;
		if (strncmp(m->at, "{{", 2) == 0) {
			m->at += 2;
			n = parse_action(m, ending);
		} else {
			n = parse_text(m);
		}
		if (n) {
			*last = n;
			last = &n->next;
		}
	}
	return first;
}

/* --- evaluating --------------------------------------------------------------------------- */

static bool truth(const json_t *v)
{
	switch (json_typeof(v)) {
	case JSON_TRUE:
		return true;
	case JSON_INTEGER:
		return json_integer_value(v) != 0;
	case JSON_REAL:
		return json_real_value(v) < 0 || json_real_value(v) > 0;
	case JSON_STRING:
		return json_string_length(v) > 0;
	case JSON_ARRAY:
		return json_array_size(v) > 0;
	case JSON_OBJECT:
		return json_object_size(v) > 0;
	case JSON_FALSE:
	case JSON_NULL:
		break;
	}
	return false;
}

static json_t *get_field(struct machine *m, const struct expr *e, const json_t *base)
{
	char *name;
	json_t *v;

	if (!json_is_object(base))
		return fail(m, e->at,
			    json_is_null(base) ? "nothing is there to have a field"
					       : "only objects have a field",
			    e->field, e->field_size);
	name = mem_new(e->field_size + 1, 1);
	memcpy(name, e->field, e->field_size);
	v = json_object_get(base, name);
	mem_free(name);
	return v ? json_incref(v) : fail(m, e->at, "no field", e->field, e->field_size);
}

static json_t *length_of(struct machine *m, const struct expr *e, const json_t *v)
{
	if (json_is_array(v))
		return json_integer((json_int_t)json_array_size(v));
	if (json_is_object(v))
		return json_integer((json_int_t)json_object_size(v));
	if (json_is_string(v))
		return json_integer((json_int_t)json_string_length(v));
	if (json_is_null(v))
		return json_integer(0);
	return fail_plain(m, e->at, "len wants a list, an object or a text");
}

static json_t *index_of(struct machine *m, const struct expr *e, json_t *v, json_t *const *indexes,
			unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		if (json_is_array(v) && json_is_integer(indexes[i])) {
			json_int_t at = json_integer_value(indexes[i]);

			v = at >= 0 ? json_array_get(v, (size_t)at) : NULL;
		} else if (json_is_object(v) && json_is_string(indexes[i])) {
			v = json_object_get(v, json_string_value(indexes[i]));
		} else {
			return fail_plain(m, e->at,
					  "index wants a list and a number, or an object "
					  "and a text");
		}
		if (!v)
			return fail_plain(m, e->at, "index: there is no such element");
	}
	return json_incref(v);
}

static json_t *as_json_text(struct machine *m, const struct expr *e, const json_t *v)
{
	struct text dump = { .limit = TEMPLATE_OUTPUT_MAX };
	json_t *text = NULL;

	/* json of json doubles its escapes, hence the limit. */
	if (status_json_write(v, JSON_COMPACT | JSON_ENCODE_ANY, &dump))
		text = json_stringn(text_string(&dump), dump.size);
	/* Work that grows with the report counts as such. */
	m->steps += (uint32_t)(dump.size / 64);
	text_fini(&dump);
	return text ? text : fail_plain(m, e->at, "the JSON text is too long");
}

static json_t *equal(struct machine *m, const struct expr *e, json_t *const *v)
{
	bool any = false;

	for (unsigned i = 0; i < e->arguments_count; i++) {
		if (json_is_array(v[i]) || json_is_object(v[i]))
			return fail_plain(m, e->at, "lists and objects cannot be compared");
		any = any || (i > 0 && json_equal(v[0], v[i]));
	}
	return json_boolean(any == (e->function == FUNCTION_eq));
}

static json_t *call(struct machine *m, const struct expr *e, json_t *const *v)
{
	unsigned i, last = e->arguments_count - 1;

	switch (e->function) {
	case FUNCTION_len:
		return length_of(m, e, v[0]);
	case FUNCTION_json:
		return as_json_text(m, e, v[0]);
	case FUNCTION_not:
		return json_boolean(!truth(v[0]));
	case FUNCTION_and:
		for (i = 0; i < last && truth(v[i]); i++)
			;
		return json_incref(v[i]);
	case FUNCTION_or:
		for (i = 0; i < last && !truth(v[i]); i++)
			;
		return json_incref(v[i]);
	case FUNCTION_eq:
	case FUNCTION_ne:
		return equal(m, e, v);
	case FUNCTION_index:
		return index_of(m, e, v[0], v + 1, last);
	case FUNCTIONS_COUNT:
		break;
	}
	NOT_REACHED("template function");
}

/* A new reference, or NULL after a failure.  Recursion is as deep as the parser allowed. */
static json_t *evaluate(struct machine *m, const struct expr *e, json_t *dot)
{
	json_t *values[ARGUMENTS_MAX] = { NULL }, *result = NULL;
	unsigned count = e->kind == EXPR_FIELD ? 1 : e->arguments_count;

	if (m->failed || ++m->steps > TEMPLATE_STEPS_MAX)
		return fail_plain(m, e->at, "too much work");
	if (e->kind == EXPR_DOT)
		return json_incref(dot);
	if (e->kind == EXPR_ROOT)
		return json_incref(m->root);
	if (e->kind == EXPR_LITERAL)
		return json_incref(e->literal);
	for (unsigned i = 0; i < count; i++) {
		values[i] = evaluate(m, e->arguments[i], dot);
		if (!values[i])
			goto out;
	}
	result = e->kind == EXPR_FIELD ? get_field(m, e, values[0]) : call(m, e, values);
out:
	for (unsigned i = 0; i < count; i++)
		json_decref(values[i]);
	return result;
}

/* As Go prints values: lists as [a b], objects as map[k:v].  What is printed is our own report,
 * whose depth is known. */
static void print(struct machine *m, json_t *v)
{
	const char *key, *between = "";
	json_t *inner;
	size_t i;

	switch (json_typeof(v)) {
	case JSON_STRING:
		text_add_bytes(m->out, json_string_value(v), json_string_length(v));
		return;
	case JSON_INTEGER:
		text_add(m->out, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
		return;
	case JSON_REAL:
		text_add(m->out, "%g", json_real_value(v));
		return;
	case JSON_TRUE:
	case JSON_FALSE:
		text_add_string(m->out, json_is_true(v) ? "true" : "false");
		return;
	case JSON_NULL:
		text_add_string(m->out, "<no value>");
		return;
	case JSON_ARRAY:
		text_add_string(m->out, "[");
		json_array_foreach(v, i, inner)
		{
			text_add_string(m->out, between);
			print(m, inner);
			between = " ";
		}
		text_add_string(m->out, "]");
		return;
	case JSON_OBJECT:
		text_add_string(m->out, "map[");
		json_object_foreach(v, key, inner)
		{
			text_add(m->out, "%s%s:", between, key);
			print(m, inner);
			between = " ";
		}
		text_add_string(m->out, "]");
		return;
	}
}

static void run_block(struct machine *m, const struct node *n, json_t *dot);

static void run_range(struct machine *m, const struct node *n, json_t *list, json_t *dot)
{
	const char *key;
	json_t *inner;
	size_t i;

	if (!truth(list) && (json_is_array(list) || json_is_object(list) || json_is_null(list))) {
		run_block(m, n->otherwise, dot);
	} else if (json_is_array(list)) {
		json_array_foreach(list, i, inner) run_block(m, n->body, inner);
	} else if (json_is_object(list)) {
		json_object_foreach(list, key, inner) run_block(m, n->body, inner);
	} else {
		fail_plain(m, n->expr->at, "range wants a list or an object");
	}
}

static void run_node(struct machine *m, const struct node *n, json_t *dot)
{
	json_t *v;

	if (n->kind == NODE_TEXT) {
		text_add_bytes(m->out, n->text, n->text_size);
		return;
	}
	v = evaluate(m, n->expr, dot);
	if (!v)
		return;
	switch (n->kind) {
	case NODE_OUTPUT:
		print(m, v);
		break;
	case NODE_IF:
	case NODE_WITH:
		if (truth(v))
			run_block(m, n->body, n->kind == NODE_WITH ? v : dot);
		else
			run_block(m, n->otherwise, dot);
		break;
	case NODE_RANGE:
		run_range(m, n, v, dot);
		break;
	case NODE_TEXT:
		break;
	}
	json_decref(v);
}

static void run_block(struct machine *m, const struct node *n, json_t *dot)
{
	for (; n && !m->failed; n = n->next) {
		if (++m->steps > TEMPLATE_STEPS_MAX)
			fail_plain(m, m->start, "too much work");
		else
			run_node(m, n, dot);
		if (m->out->full)
			fail_plain(m, m->start, "the output is too long");
	}
}

static void release(struct machine *m)
{
	while (m->exprs) {
		struct expr *e = m->exprs;

		m->exprs = e->allocated;
		json_decref(e->literal);
		mem_free(e);
	}
	while (m->nodes) {
		struct node *n = m->nodes;

		m->nodes = n->allocated;
		mem_free(n);
	}
}

bool template_render(const char *template, json_t *root, struct text *out, struct why *why)
{
	struct machine m = {
		.start = template, .at = template, .root = root, .out = out, .why = why
	};
	const char *ended_at = template;
	enum ending ending;
	struct node *block;

	if (strlen(template) > TEMPLATE_SIZE_MAX) {
		why_set(why, WHY_INVALID, "template: longer than %u bytes", TEMPLATE_SIZE_MAX);
		return false;
	}
	if (out->limit == 0)
		out->limit = TEMPLATE_OUTPUT_MAX;
	block = parse_block(&m, &ending, &ended_at);
	if (!m.failed && ending != ENDING_TEXT)
		fail_plain(&m, ended_at, "no block is open here");
	run_block(&m, block, root);
	release(&m);
	return !m.failed;
}
