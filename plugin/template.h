/* `weave report -f`: the part of Go's text/template that people use on the report.
 *
 *	{{.Router.Name}}  {{$.Version}}  {{len .Router.Peers}}  {{json .Router}}  {{"text"}}  {{3}}
 *	{{range .Router.Peers}}{{.Name}} {{else}}none{{end}}
 *	{{if .Ready}}yes{{else if ...}}...{{else}}no{{end}}   {{with .X}}{{.Y}}{{end}}
 *	{{.X | len}}  {{index .Router.Peers 0}}  {{(index .Router.Peers 0).Name}}
 *	{{not .Ready}} {{and .A .B}} {{or .A .B}} {{eq .A "x" "y"}} {{ne .A 3}}
 *	{{- trims blanks before, and after -}}  comments between {{/ * and * /}}
 * A field that is not there is an error; fields of null as well.  Nothing else of Go's language is
 * known, and what is unknown is refused with its place.  The whole text is checked first.
 *
 * Pure.  Depth, steps and the size of the output are limited, whatever the text.
 */
#ifndef WEAVE_PLUGIN_TEMPLATE_H
#define WEAVE_PLUGIN_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>

#include <weave/text.h>
#include <weave/why.h>

#define TEMPLATE_SIZE_MAX 65536u
#define TEMPLATE_DEPTH_MAX 32u	    /* of nested blocks and of nested expressions */
#define TEMPLATE_STEPS_MAX 1000000u /* nested ranges multiply */
#define TEMPLATE_OUTPUT_MAX ((size_t)16 << 20)

struct json_t;

/* Appends the result of 'template' over 'root' (borrowed) to 'out'.  False, with 'why' naming
 * line and column, on any mistake; what 'out' then holds is meaningless. */
bool template_render(const char *template, struct json_t *root, struct text *out, struct why *why);

#endif
