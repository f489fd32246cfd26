/* Templates of `weave report -f`. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include <weave/alloc.h>
#include <weave/must.h>

#include "../../../plugin/template.h"

static const char document[] =
	"{\"Ready\": true, \"Version\": \"3.0.0\", \"IPAM\": null, \"Empty\": [], \"N\": 3,"
	" \"Router\": {\"Name\": \"7a\", \"Targets\": [\"h1\", \"h2\"],"
	"   \"Peers\": [{\"Name\": \"a\", \"Up\": true}, {\"Name\": \"b\", \"Up\": false}]}}";

static bool render(const char *template, struct text *out, struct why *why)
{
	json_t *root = json_loads(document, 0, NULL);
	bool ok;

	assert_non_null(root);
	text_fini(out);
	*why = (struct why){ 0 };
	ok = template_render(template, root, out, why);
	json_decref(root);
	return ok;
}

static void templates_give_what_go_gives(void **state)
{
	static const char *const cases[][2] = {
		{ "", "" },
		{ "plain { } text", "plain { } text" },
		{ "{{.Version}}", "3.0.0" },
		{ "v={{ .Router.Name }}!", "v=7a!" },
		{ "{{$.Router.Name}}", "7a" },
		{ "{{len .Router.Targets}}", "2" },
		{ "{{.Router.Targets | len}}", "2" },
		{ "{{len .IPAM}}", "0" },
		{ "{{range .Router.Targets}}{{.}} {{end}}", "h1 h2 " },
		{ "{{range .Router.Peers}}{{.Name}}={{if .Up}}up{{else}}down{{end}};{{end}}",
		  "a=up;b=down;" },
		{ "{{range .Router.Peers}}{{$.Version}}{{end}}", "3.0.03.0.0" },
		{ "{{range .Empty}}x{{else}}none{{end}}", "none" },
		{ "{{range .IPAM}}x{{else}}none{{end}}", "none" },
		{ "{{if .IPAM}}on{{else if .Ready}}ready{{else}}off{{end}}.", "ready." },
		{ "{{if .IPAM}}on{{else if .Empty}}e{{else}}off{{end}}.", "off." },
		{ "{{with .Router}}{{.Name}}{{end}}", "7a" },
		{ "{{with .IPAM}}x{{else}}{{.Version}}{{end}}", "3.0.0" },
		{ "{{json .Router.Targets}}", "[\"h1\",\"h2\"]" },
		{ "{{json .Version}}", "\"3.0.0\"" },
		{ "{{.Router.Targets}}", "[h1 h2]" },
		{ "{{index .Router.Peers 1}}", "map[Name:b Up:false]" },
		{ "{{(index .Router.Peers 1).Name}}", "b" },
		{ "{{index .Router \"Name\"}}", "7a" },
		{ "{{.IPAM}}", "<no value>" },
		{ "{{eq .N 3}} {{ne .N 3}} {{eq .Version \"x\" \"3.0.0\"}}", "true false true" },
		{ "{{not .Ready}} {{and .Ready .N}} {{or .IPAM .N}}", "false 3 3" },
		{ "{{if (eq (len .Router.Peers) 2)}}two{{end}}", "two" },
		{ "{{\"a\\tb}}\"}}{{`c\\n`}}{{-7}}", "a\tb}}c\\n-7" },
		{ "a  {{- .N -}}  b", "a3b" },
		{ "a{{/* nothing }} */}}b", "ab" },
		{ "{{range .Router.Peers}}{{range $.Router.Targets}}{{.}}{{end}}{{end}}",
		  "h1h2h1h2" },
	};
	struct text out = { 0 };
	struct why why;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		if (!render(cases[i][0], &out, &why))
			fail_msg("%s: %s", cases[i][0], why.text);
		if (strcmp(text_string(&out), cases[i][1]) != 0)
			fail_msg("%s gives %s", cases[i][0], text_string(&out));
	}
	text_fini(&out);
}

static void mistakes_are_named_with_their_place(void **state)
{
	static const char *const cases[][2] = {
		{ "{{.Nothing}}", "column 3: no field \"Nothing\"" },
		{ "a\nb{{.Router.Bogus}}", "line 2, column 11: no field \"Bogus\"" },
		{ "{{.IPAM.Range}}", "nothing is there to have a field \"Range\"" },
		{ "{{.Version.X}}", "only objects" },
		{ "{{", "ends inside" },
		{ "{{.N", "ends inside" },
		{ "{{.N}", "expected }}" },
		{ "{{.N .N}}", "expected }}" },
		{ "{{}}", "unexpected" },
		{ "{{printf .N}}", "unknown function \"printf\"" },
		{ "{{len}}", "too few" },
		{ "{{len .N .N}}", "too many" },
		{ "{{len .N}}", "len wants" },
		{ "{{.N | .N}}", "only a function" },
		{ "{{range .N}}{{end}}", "range wants" },
		{ "{{range .Empty}}", "no {{end}}" },
		{ "{{end}}", "no block is open" },
		{ "{{else}}", "no block is open" },
		{ "{{if .N}}{{else}}{{else}}{{end}}", "second else" },
		{ "{{range .Empty}}{{else if .N}}{{end}}", "no else if" },
		{ "{{if}}{{end}}", "unexpected" },
		{ "{{\"a}}", "the text has no end" },
		{ "{{\"\\q\"}}", "escape" },
		{ "{{/* a}}", "comment has no end" },
		{ "{{$x}}", "variables" },
		{ "{{..}}", "two dots" },
		{ "{{.a.}}", "name is missing" },
		{ "{{(.N}}", "not closed" },
		{ "{{99999999999999999999}}", "too large" },
		{ "{{1.5}}", "whole numbers" },
		{ "{{index .Empty 0}}", "no such element" },
		{ "{{index .N 0}}", "index wants" },
		{ "{{eq .Router 1}}", "cannot be compared" },
		{ "{{eq len 1}}", "needs parentheses" },
		{ "{{\"\xff\"}}", "not UTF-8" },
	};
	struct text out = { 0 };
	struct why why;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		if (render(cases[i][0], &out, &why))
			fail_msg("%s gives %s", cases[i][0], text_string(&out));
		if (!strstr(why.text, cases[i][1]))
			fail_msg("%s: the message is: %s", cases[i][0], why.text);
	}
	text_fini(&out);
}

static void nesting_is_limited(void **state)
{
	struct text template = { 0 }, out = { 0 };
	struct why why;

	(void)state;
	for (int i = 0; i < 200; i++)
		text_add_string(&template, "{{if .Ready}}");
	assert_false(render(text_string(&template), &out, &why));
	assert_non_null(strstr(why.text, "nested"));
	text_fini(&template);
	text_add_string(&template, "{{");
	for (int i = 0; i < 5000; i++)
		text_add_string(&template, "(");
	assert_false(render(text_string(&template), &out, &why));
	assert_non_null(strstr(why.text, "nested"));
	text_fini(&template);
	text_add_string(&template, "{{.");
	for (int i = 0; i < 100; i++)
		text_add_string(&template, "a.");
	text_add_string(&template, "a}}");
	assert_false(render(text_string(&template), &out, &why));
	text_fini(&template);
	for (int i = 0; i < 40; i++)
		text_add_string(&template, "{{if .Empty}}{{else if .Ready}}");
	assert_false(render(text_string(&template), &out, &why));
	text_fini(&template);
	text_fini(&out);
}

static void work_and_output_are_limited(void **state)
{
	struct text template = { 0 }, out = { 0 };
	struct why why;

	(void)state;
	for (int i = 0; i < 30; i++)
		text_add_string(&template, "{{range $.Router.Targets}}");
	for (int i = 0; i < 30; i++)
		text_add_string(&template, "{{end}}");
	assert_false(render(text_string(&template), &out, &why));
	assert_non_null(strstr(why.text, "too much work"));
	text_fini(&template);

	/* Each json doubles the escapes of the one inside. */
	text_add_string(&template, "{{");
	for (int i = 0; i < 30; i++)
		text_add_string(&template, "json (");
	text_add_string(&template, ".Version");
	for (int i = 0; i < 30; i++)
		text_add_string(&template, ")");
	text_add_string(&template, "}}");
	assert_false(render(text_string(&template), &out, &why));
	assert_non_null(strstr(why.text, "too long"));
	text_fini(&template);

	out.limit = 10;
	assert_false(render("{{range .Router.Peers}}0123456789{{end}}", &out, &why));
	text_fini(&out);
	assert_true(render("{{range .Router.Peers}}01234{{end}}", &out, &why));
	text_fini(&out);
}

static void nothing_is_left_behind(void **state)
{
	struct text out = { 0 };
	struct why why;
	size_t before;

	(void)state;
	assert_true(render("{{.N}}", &out, &why));
	text_fini(&out);
	before = mem_in_use();
	assert_false(
		render("{{range .Router.Peers}}{{.Name | json}}{{.Bogus}}{{end}}", &out, &why));
	text_fini(&out);
	assert_int_equal(mem_in_use(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(templates_give_what_go_gives),
		cmocka_unit_test(mistakes_are_named_with_their_place),
		cmocka_unit_test(nesting_is_limited),
		cmocka_unit_test(work_and_output_are_limited),
		cmocka_unit_test(nothing_is_left_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
