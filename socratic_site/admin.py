"""Staff accounts: name, password, roles, open or closed. Each change is told, or is not made."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.forms import UserCreationForm
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.db.models import QuerySet
from django.forms import CheckboxSelectMultiple
from django.http import HttpRequest, HttpResponse
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice

from sessions_app.access.account_audit import facts, tell
from sessions_app.access.roles import ROLES, actor
from socratic_site.accounts import second_factor

# Roles are fixed, and nobody looks at the secrets of second factors.
for model in (User, Group, StaticDevice, TOTPDevice):
    admin.site.unregister(model)


@admin.register(User)
class AccountAdmin(UserAdmin):  # type: ignore[type-arg]
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("What the account may do", {"fields": ("is_active", "groups")}),
        ("When", {"fields": ("last_login", "date_joined")}),
    )
    add_fieldsets = ((None, {"fields": ("username", "password1", "password2", "groups")}),)
    add_form = UserCreationForm
    readonly_fields = ("last_login", "date_joined")
    filter_horizontal = ()
    list_display = ("username", "roles", "is_active", "has_second_factor", "last_login")
    list_filter = ("is_active", "groups")
    search_fields = ("username",)
    actions = ("reset_second_factor",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return super().get_queryset(request).prefetch_related("groups")

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "groups":
            kwargs |= {"queryset": Group.objects.filter(name__in=ROLES), "widget": CheckboxSelectMultiple}
        field = super().formfield_for_manytomany(db_field, request, **kwargs)
        if field is not None and db_field.name == "groups":
            field.label, field.help_text = "Roles", "An account without a role opens nothing."
        return field

    @admin.display(description="roles")
    def roles(self, user: User) -> str:
        return ", ".join(sorted(group.name for group in user.groups.all())) or "none"

    @admin.display(description="second factor", boolean=True)
    def has_second_factor(self, user: User) -> bool:
        return second_factor.enrolled(user)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_delete_permission(request, obj) and obj != request.user

    # --- what is saved, and told

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        if change:
            request.account_before = facts(User.objects.get(pk=obj.pk))  # type: ignore[attr-defined]
        if "groups" in form.cleaned_data:
            obj.is_staff = obj.is_superuser = "admin" in {role.name for role in form.cleaned_data["groups"]}
        super().save_model(request, obj, form, change)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """The form knows the roles alone: a group that is none, such as the demo's, stays."""
        others = list(form.instance.groups.exclude(name__in=ROLES))
        super().save_related(request, form, formsets, change)
        form.instance.groups.add(*others)

    def log_addition(self, request: HttpRequest, obj: User, message: Any) -> Any:
        tell("account.create", by=actor(request), subject=obj.username, new=facts(obj))
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: User, message: Any) -> Any:
        before = getattr(request, "account_before", None)
        told = {"old": before, "new": facts(obj)} if before else {}
        tell("account.change", by=actor(request), subject=obj.username, reason=changed(message), **told)
        return super().log_change(request, obj, message)

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        for user in queryset:
            tell("account.delete", by=actor(request), subject=user.username, old=facts(user))
        return super().log_deletions(request, queryset)

    # Django wraps adding, changing and deleting one account; these it does not.

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        with transaction.atomic():
            return super().user_change_password(request, id, form_url)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        with transaction.atomic():
            return super().changelist_view(request, extra_context)

    @admin.action(description="Reset the second factor of selected accounts")
    def reset_second_factor(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """For a lost device: the account sets up a new one when it signs in next."""
        names = [user.username for user in queryset if second_factor.reset(user)]
        for name in names:
            tell("factor.reset", by=actor(request), subject=name)
        said = f"Reset: {', '.join(names)}." if names else "None of them has a second factor."
        self.message_user(request, said, messages.SUCCESS if names else messages.INFO)


def changed(message: Any) -> str | None:
    """The names of the fields, out of Django's own account of a change."""
    parts: Sequence[Any] = message if isinstance(message, list) else []
    fields = [field for part in parts for field in part.get("changed", {}).get("fields", [])]
    return f"changed: {', '.join(fields).lower()}" if fields else None
