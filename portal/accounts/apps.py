from django.apps import AppConfig
from django.db.models.signals import post_migrate, pre_save


class AccountsConfig(AppConfig):
    name = "portal.accounts"
    verbose_name = "People"

    def ready(self) -> None:
        # Imported for what they register: signals' receivers, and the token scheme.
        from portal.accounts import notices, orcid, schema, second_factor  # noqa: F401
        from portal.accounts.addresses import normalise_before_save
        from portal.accounts.roles import make_groups

        post_migrate.connect(make_groups, sender=self)
        pre_save.connect(normalise_before_save, sender="account.EmailAddress")
        self._register()

    @staticmethod
    def _register() -> None:
        from portal.accounts import erasing, own_data

        erasing.register(erasing.erase_account, check=erasing.check_holds_no_role)
        own_data.register("account", own_data.about_account)
        own_data.register("mails", own_data.mails)
        own_data.register("acts", own_data.acts)
