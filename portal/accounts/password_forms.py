"""allauth's forms for a new password, with the offer to revoke the tokens, which outlive the password."""

from typing import Any

from allauth.account import forms as allauth_forms
from django import forms
from django.utils.html import escape

from portal.accounts import services
from portal.accounts.models import Account


class OffersToRevokeTokens:
    """Adds the box where the account has tokens, and revokes them with the new password."""

    user: Account | None
    fields: dict[str, forms.Field]
    cleaned_data: dict[str, Any]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Escaped: a page takes a help text as markup.
        names = [escape(token) for token in self.user.tokens.all()] if self.user else []
        if names:
            self.fields["revoke_tokens"] = forms.BooleanField(
                label="Revoke my tokens too",
                required=False,
                help_text="They work on with any password: " + ", ".join(names) + ".",
            )

    def save(self) -> None:
        super().save()  # type: ignore[misc]
        if self.user and self.cleaned_data.get("revoke_tokens"):
            services.revoke_tokens(self.user, actor=self.user)


class ChangePasswordForm(OffersToRevokeTokens, allauth_forms.ChangePasswordForm):
    pass


class ResetPasswordForm(OffersToRevokeTokens, allauth_forms.ResetPasswordKeyForm):
    pass
