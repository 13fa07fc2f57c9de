"""What a consumer asks, and on what terms."""

from dataclasses import dataclass

MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Question:
    """What to ask and how. `temperature` and `top_p` in micro; `most` is the highest price in base units;
    None: the settings' or the network's own. `demand`: a withheld answer may be demanded on chain, and the
    fee for it counts towards `most`. `exact`: only nodes of this machine's bit class. `challenge`: an answer
    that is wrong beyond doubt is challenged; `appeal`: and, should the first panel dismiss that, appealed;
    `wait`: to the ruling."""

    text: str
    system: str | None = None
    model: str | None = None
    version: int | None = None
    node: str | None = None
    temperature: int = 0
    top_p: int = MILLION
    seed: int | None = None
    max_tokens: int = 256
    most: int | None = None
    approve: bool = True
    deposit: bool = False
    demand: bool = True
    exact: bool = False
    challenge: bool = True
    appeal: bool = False
    wait: bool = False

    def messages(self) -> list[dict[str, str]]:
        """For the model's chat template."""
        system = [{"role": "system", "content": self.system}] if self.system else []
        return [*system, {"role": "user", "content": self.text}]
