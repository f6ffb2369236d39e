#include "base/xml.h"

#include "base/mem.h"
#include "base/test.h"

static struct arena a;

TEST(xml_is_read)
{
    struct xml x =
        xml_from(&a, STR("<?xml version=\"1.0\"?>\n<!-- c --><s:Delete xmlns:s='x>y'><Object a=\"1\">"
                         "<Key>a&amp;b &#233;&#x20AC;<![CDATA[<&]]></Key></Object><Quiet/></s:Delete>\n"));
    int keys = 0, closed = 0;

    while (xml_next(&x)) {
        closed += x.kind == XML_CLOSE;
        if (x.kind == XML_CLOSE && xml_at(&x, "Delete/Object/Key")) {
            keys++;
            OK(str_is(x.text, "a&b \xc3\xa9\xe2\x82\xac<&"));
        }
    }
    OK(xml_ok(&x) && keys == 1 && closed == 4);
    arena_fini(&a);
}

TEST(bad_xml_is_refused)
{
    static const char *const rows[] = {"",
                                       "text",
                                       "<a>",
                                       "<a></b>",
                                       "<a></a><b></b>",
                                       "<a>&what;</a>",
                                       "<a>&#0;</a>",
                                       "<a>&#xd800;</a>",
                                       "<!DOCTYPE a [<!ENTITY e 'x'>]><a>&e;</a>",
                                       "<a><!-- </a>",
                                       "<a b='</a>",
                                       "<><b/></>",
                                       "</a>",
                                       "<a/>junk",
                                       "<a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a></a>"};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct xml x = xml_from(&a, str_of(rows[i]));

        while (xml_next(&x))
            ;
        printf("# %s\n", rows[i]);
        OK(!xml_ok(&x));
    }
    arena_fini(&a);
}

TEST_MAIN
