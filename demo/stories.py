"""The invented applicants of the demo's queue. No real person or institution is meant."""

from dataclasses import dataclass

ALL_LLAMA = ("meta/llama-7b", "meta/llama-13b", "meta/llama-33b", "meta/llama-65b")
DEMO = ("demo/smollm2-135m",)


@dataclass(frozen=True)
class Story:
    """One applicant: who they are, what they ask for, when, and what became of it so far."""

    email: str
    name: str
    category: str
    institution: str
    country: str
    position: str
    web_page: str
    repos: tuple[str, ...]
    days: float  # since submission
    purpose: str
    use: str
    share: str = "nothing"
    publications: str = ""
    prior: str = ""
    orcid: str = ""
    outcome: str = ""  # "", claim, return, approve, refuse
    reason: str = ""
    reviewer: str = "reviewer@demo.test"
    decided_after: float = 1.5  # days

    def answers(self) -> dict[str, str]:
        """Keyed as the default form's questions."""
        return {
            "research_purpose": self.purpose,
            "intended_use": self.use,
            "sharing": self.share,
            "publications": self.publications,
            "prior_access": self.prior,
        }


STORIES = (
    Story("k.tanaka@nagamori.example", "Keiko Tanaka", "academia", "Nagamori Institute of Technology", "JP",
          "Associate professor", "https://nagamori.example/tanaka", ALL_LLAMA, 9.2,
          "We measure how multilingual a model becomes when only one in fifty training tokens is not English. Our group has "
          "built a test of 4,000 sentence pairs in eleven languages and wants to run it over the four sizes.",
          "Evaluation on our cluster. Nothing is served to others.", publications="Two papers on cross-lingual transfer.",
          orcid="0000-0002-1825-0097"),
    Story("p.adeyemi@civicdata.example", "Peter Adeyemi", "civil_society", "Civic Data Watch", "NG", "Research lead",
          "https://civicdata.example/team", ("meta/llama-7b",), 7.5,
          "We audit how language models describe West African elections, and publish what we find for journalists.",
          "Prompting with a fixed list of 600 questions and reading the answers by hand.", share="outputs",
          prior="Access to one other open model, for the same audit."),
    Story("lena.fischer@mail.example", "Lena Fischer", "independent", "Independent researcher", "DE", "Independent researcher",
          "", ("meta/llama-13b", "meta/llama-33b"), 6.8,
          "I want to find out how far quantisation can go before a model forgets rare facts.",
          "Quantisation to 4, 3 and 2 bits on my own workstation, and measuring perplexity and recall of facts.", share="derivatives"),
    Story("j.rivera@ministry-science.example", "Julia Rivera", "government", "Ministry of Science, Office of Technology Assessment", "CL",
          "Policy analyst", "https://ministry-science.example/ota", ("meta/llama-7b", "meta/llama-13b"), 5.1,
          "We prepare a report for parliament on what models of this size can do in Spanish, and at what cost.",
          "A benchmark run by our technical office; the report is public.", outcome="claim", decided_after=2),
    Story("daniel.cho@northlab.example", "Daniel Cho", "industry", "Northlab Research", "KR", "Research scientist",
          "https://northlab.example/people/cho", ALL_LLAMA, 4.4,
          "We study scaling of in-context learning, with the aim of a paper and an open implementation.",
          "Training of probes, no fine-tuning. We are a research lab of a company that sells translation software; this work is "
          "separate from it.", publications="ICML 2022, EMNLP 2022."),
    Story("amara@openhealth.example", "Amara Diallo", "civil_society", "Open Health Notes", "SN", "Engineer",
          "https://openhealth.example", ("meta/llama-7b",), 3.6,
          "Summaries of public health notices in Wolof and French.",
          "I would like to see if a model helps volunteers to write drafts.", outcome="return", decided_after=1.0,
          reason="Thank you. Please say whether the drafts would be shown to the public or stay with the volunteers, and who "
          "checks them before they are used. The licence allows research, not a service."),
    Story("m.svensson@fjordlab.example", "Maja Svensson", "academia", "Fjord University", "NO", "PhD student",
          "https://fjordlab.example/~msvensson", DEMO, 2.9,
          "I compare attention patterns of small models before and after instruction tuning.",
          "Reading activations on a laptop; a chapter of my thesis.", orcid="0000-0001-5109-3700"),
    Story("yusuf.kaya@bosphorus.example", "Yusuf Kaya", "academia", "Bosphorus Technical University", "TR", "Lecturer",
          "https://bosphorus.example/kaya", ("meta/llama-65b",), 2.2,
          "My students build a course project that measures how well models follow Turkish morphology.",
          "Twelve students under my supervision use one copy on the department's server."),
    Story("growth@quickcopy.example", "Chris Vale", "industry", "QuickCopy Ltd", "GB", "Head of growth", "https://quickcopy.example",
          ("meta/llama-65b",), 8.0, "We write marketing texts and want to lower the cost of our content engine.",
          "Generation of product descriptions for customers.", outcome="refuse", decided_after=2.5,
          reason="The use you describe is a commercial service, which the licence does not allow. If you plan a study whose results "
          "you publish, apply again and describe that study."),
    Story("h.osei@accra-ai.example", "Hannah Osei", "academia", "Accra Centre for AI", "GH", "Research fellow",
          "https://accra-ai.example/osei", ("meta/llama-7b", "meta/llama-13b"), 12.0,
          "Toxicity of completions about ethnic groups in Ghana, measured with annotators from each of them.",
          "Prompting and annotation; a public data set of annotations without the outputs that are harmful.", outcome="approve",
          decided_after=3.2, reviewer="second-reviewer@demo.test", reason="A clear plan with its own ethics review."),
    Story("r.silva@ipanema.example", "Rafael Silva", "academia", "Ipanema University", "BR", "Professor", "https://ipanema.example/silva",
          ("meta/llama-7b",), 20.0, "Portuguese in a model that saw little of it: what transfers, and what does not?",
          "Probing tasks on a server of the department.", outcome="approve", decided_after=4.1, reason="A sound plan."),
    Story("o.petrenko@dnipro-lab.example", "Olena Petrenko", "industry", "Dnipro Language Lab", "UA", "Researcher",
          "https://dnipro-lab.example", ("meta/llama-13b",), 15.0, "How does fine-tuning on Ukrainian change what a model says about history?",
          "Fine-tuning, and a comparison of answers by two historians.", share="outputs", outcome="approve", decided_after=2.0,
          reviewer="second-reviewer@demo.test", reason="The lab publishes; the historians are named."),
    Story("t.novak@karlin.example", "Tomáš Novák", "academia", "Karlín University", "CZ", "Research engineer", "https://karlin.example/novak",
          ("meta/llama-33b",), 0.8, "We look for memorised passages: how often does a model return training text word for word?",
          "Sampling of 100,000 completions and matching against public corpora.", publications="A workshop paper on memorisation."),
    Story("s.iyer@sahyadri.example", "Sunita Iyer", "academia", "Sahyadri Institute of Science", "IN", "Assistant professor",
          "https://sahyadri.example/iyer", ("meta/llama-7b", "meta/llama-13b"), 0.2,
          "Speculative decoding: how small may the draft model be?", "Timing runs on two servers.", share="derivatives"),
)  # fmt: skip
