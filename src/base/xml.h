/*
 * xml: the little XML that S3 speaks: reading another's, and escaping what goes into ours.
 *
 *     struct xml x = xml_from(arena, body);
 *     while (xml_next(&x))
 *         if (x.kind == XML_CLOSE && xml_at(&x, "Delete/Object/Key"))
 *             key = x.text;
 *     if (!xml_ok(&x)) ...
 *
 * A reader of elements and text, no tree: attributes are passed over, prefixes of names dropped, entities are the five
 * of XML and numeric ones. A document type (which could define others) makes it bad, as does nesting over XML_DEPTH or a text over XML_TEXT bytes.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"

enum { XML_DEPTH = 16, XML_TEXT = 8192 };

struct xml {
    enum xml_kind { XML_OPEN, XML_CLOSE } kind;
    struct str name; // of the element that opens or closes
    struct str text; // XML_CLOSE: the text behind its last element inside, entities resolved; in the arena
    /* Private. */
    struct arena *_arena;
    struct str _rest;
    struct str _path[XML_DEPTH];
    size_t _depth;
    char _text[XML_TEXT];
    size_t _text_n;
    bool _closing; // the last event closed an element that still stands on the path
    bool _empty;   // <a/> was opened: it closes next
    bool _bad;
};

struct xml xml_from(struct arena *a, struct str text);
bool xml_next(struct xml *x);     // false at the end or at damage
bool xml_ok(const struct xml *x); // it was the end of one whole document
/* Is the element of this event at this path from the root? */
bool xml_at(const struct xml *x, const char *path);

/* Text of an element or attribute: & < > " and control characters as references. */
void xml_text(struct buf *out, struct str s);
/* <name>text</name> */
void xml_element(struct buf *out, const char *name, struct str text);
