package dev.gridtie.grid.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gridtie.base.Json;
import dev.gridtie.grid.engine.ChatTemplate.TemplateException;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;

/** What a model's template may do, and what it may not. */
class JinjaTemplateTest {
  private static final List<Turn> HELLO = List.of(new Turn("user", "Hello"));

  private static String render(String template, List<Turn> turns) throws TemplateException {
    return new JinjaTemplate(template, "<s>", "</s>", System::nanoTime).render(turns);
  }

  private record Case(String name, String template, List<Turn> turns, String prompt) {
    @Override
    public String toString() {
      return name + " " + turns;
    }
  }

  /** Made with Python's jinja2, in the environment that Transformers renders templates in. */
  static Stream<Case> renderedByTheReference() throws Exception {
    List<Case> cases = new ArrayList<>();
    try (var in = JinjaTemplateTest.class.getResourceAsStream("templates.json")) {
      for (JsonNode family : Json.parse(in.readAllBytes())) {
        for (JsonNode one : family.path("cases")) {
          cases.add(
              new Case(
                  family.path("name").asString(),
                  family.path("template").asString(),
                  one.path("turns")
                      .valueStream()
                      .map(t -> new Turn(t.path(0).asString(), t.path(1).asString()))
                      .toList(),
                  one.path("prompt").asString()));
        }
      }
    }
    return cases.stream();
  }

  @ParameterizedTest
  @MethodSource("renderedByTheReference")
  void theUsualFamiliesRenderAsTheReferenceDoes(Case one) throws Exception {
    assertThat(render(one.template(), one.turns())).isEqualTo(one.prompt());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{{ \"What is a \" ~ \"receipt?\" }}",
        "a{{ '<|assis' ~ 'tant|>' }}b",
        "{% for i in range(1000) %}{% for j in range(1000) %}x{% endfor %}{% endfor %}",
        "In Helm, what does {% if .Values.x %} mean?",
        "{# a comment #}{% raw %}",
        "${messages} #{messages} {{ messages }}"
      })
  void whatAMessageSaysIsNeverTemplate(String content) throws Exception {
    List<Turn> turns = List.of(new Turn("user", content));
    assertThat(render("{% for m in messages %}[{{ m.content }}]{% endfor %}", turns))
        .isEqualTo("[" + content + "]");
    assertThat(
            render(
                "{% set c %}{{ messages[0].content }}{% endset %}{{ c }}{{ c | trim }}"
                    + "{% macro say(x) %}{{ x }}{% endmacro %}{{ say(c) }}",
                turns))
        .isEqualTo(content.repeat(3));
  }

  /** Each would run for ever, take all memory, or look outside of the conversation. */
  @ParameterizedTest
  @ValueSource(
      strings = {
        "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}x"
            + "{% endfor %}{% endfor %}{% endfor %}",
        "{% for a in range(9999) %}{% for b in range(9999) %}{% if a == b %}{% endif %}"
            + "{% endfor %}{% endfor %}",
        "{% for a in range(9999) %}{{ 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' }}"
            + "{% endfor %}",
        "{% for a in range(10**9) %}{% for b in range(10**9) %}{% for b in range(10**9) %}{{ a }}"
            + "{% endfor %}{% endfor %}{% endfor %}",
        "{% set s = 'xxxxxxxx' %}{% set s = s~s~s~s~s~s~s~s %}{% set s = s~s~s~s~s~s~s~s %}"
            + "{% set s = s~s~s~s~s~s~s~s %}{% set s = s~s~s~s~s~s~s~s %}"
            + "{% set s = s~s~s~s~s~s~s~s %}{% set s = s~s~s~s~s~s~s~s %}{{ s }}",
        "{% set s = 'xxxxxxxx' %}{% set s = s+s+s+s+s+s+s+s %}{% set s = s+s+s+s+s+s+s+s %}"
            + "{% set s = s+s+s+s+s+s+s+s %}{% set s = s+s+s+s+s+s+s+s %}"
            + "{% set s = s+s+s+s+s+s+s+s %}{% set s = s+s+s+s+s+s+s+s %}{{ s }}",
        "{% set s = 'xxxxxxxxxxxxxxxx' %}{% set s = s|replace('x', s) %}"
            + "{% set s = s|replace('x', s) %}{% set s = s|replace('x', s) %}{{ s }}",
        "{% set s = 'xxxxxxxxxxxxxxxx' %}{% set s = s.replace('x', s) %}"
            + "{% set s = s.replace('x', s) %}{% set s = s.replace('x', s) %}{{ s }}",
        "{% set l = [1,2,3,4,5,6,7,8] %}{% set l = l+l+l+l+l+l+l+l %}{% set l = l+l+l+l+l+l+l+l %}"
            + "{% set l = l+l+l+l+l+l+l+l %}{% set l = l+l+l+l+l+l+l+l %}"
            + "{% set l = l+l+l+l+l+l+l+l %}{{ l|length }}",
        "{% macro a(x) %}{{ b(x) }}{{ b(x) }}{% endmacro %}{% macro b(x) %}{{ a(x) }}{{ a(x) }}"
            + "{% endmacro %}{{ a(1) }}",
        "{{ range(16000)|join('xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx') }}",
        "{{ 'a'|regex_replace('(a|a)*$', 'x') }}",
        "{{ 'x'|center(1000000000) }}",
        "{{ '%1000000000s'|format('x') }}",
        "{{ 'x'|render }}",
        "{% include '/etc/passwd' %}",
        "{% import '/etc/passwd' as x %}",
        "{% from '/etc/passwd' import x %}",
        "{% extends '/etc/passwd' %}",
        "{{ ''.getClass().forName('java.lang.Runtime') }}",
        "{{ messages.getClass() }}",
        "{{ 'x'.repeat(1000000000) }}",
        "{{ 'x'.matches('(x+)+y') }}",
        "{{ ____int3rpr3t3r____.config }}",
        "{{ messages['____int3' ~ 'rpr3t3r____'].getConfig() }}",
        "{{ messages['____int3' ~ 'rpr3t3r____']|tojson }}",
        "{{ [messages['____int3' ~ 'rpr3t3r____']]|tojson }}",
        "{{ type(messages) }}",
        "{{ unixtimestamp() }}",
      })
  void aTemplateThatDoesMoreThanATemplateMayIsStopped(String template) {
    assertThatThrownBy(() -> render(template, HELLO))
        .isInstanceOf(TemplateException.class)
        .hasMessageContaining("the model's chat template");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{{ messages['____int3' ~ 'rpr3t3r____'].config }}",
        "{{ messages.class }}",
        "{{ messages[0].content.class }}",
        "{{ messages[0].content.bytes }}",
        "{{ loop }}",
        "{{ (messages['____int3' ~ 'rpr3t3r____']).context }}",
        "{% for config, context in [messages['____int3' ~ 'rpr3t3r____']] %}{{ config }}{{ context }}"
            + "{% endfor %}",
        "{{ [messages['____int3' ~ 'rpr3t3r____']]|map(attribute='config')|list|join('') }}",
      })
  void anObjectHasNoProperties(String template) {
    String seen;
    try {
      seen = render(template, HELLO);
    } catch (TemplateException e) {
      seen = "";
    }
    assertThat(seen).isEmpty();
  }

  @Test
  void aTemplateThatIsTooLongOrTooDeepIsNotRead() throws Exception {
    assertThatThrownBy(() -> render("x".repeat(JinjaTemplate.TEMPLATE_MAX + 1), HELLO))
        .hasMessageContaining("characters");
    assertThatThrownBy(
            () -> render("{{ " + "(".repeat(99_000) + 1 + ")".repeat(99_000) + " }}", HELLO))
        .hasMessageContaining("brackets");
    int most = JinjaTemplate.BRACKETS_MAX - 2;
    assertThat(render("{{ " + "(".repeat(most) + 1 + ")".repeat(most) + " }}", HELLO))
        .isEqualTo("1");
  }

  @Test
  void aTemplateThatRefusesSaysWhy() {
    assertThatThrownBy(() -> render("{{ raise_exception('roles must alternate') }}", HELLO))
        .isInstanceOf(TemplateException.class)
        .hasMessageContaining("roles must alternate");
  }

  @Test
  void aTemplateHasSoMuchTimeAndNoMore() {
    long[] now = {0};
    assertThatThrownBy(
            () ->
                new JinjaTemplate(
                        "{% for i in range(100) %}{{ i }}{% endfor %}",
                        "", "", () -> now[0] += JinjaTemplate.NANOS_MAX / 10)
                    .render(HELLO))
        .isInstanceOf(TemplateException.class)
        .hasMessageContaining("longer than 10 s");
  }
}
